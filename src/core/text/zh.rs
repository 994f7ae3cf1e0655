//! Simplified Chinese sentences.

use crate::core::{
    finding::{CDN, Finding, is_link},
    host::{Fault, fault},
    limits::Kind as Limit,
    reason::Reason,
};

/// "A 记录，记录值 1.2.3.4", in the words of DNS consoles, by what kind of value is required.
fn record(finding: &Finding) -> String {
    let list = |kind: super::Kind| super::of_kind(&finding.required, kind).join(" 或 ");
    let wanted: Vec<String> = [
        ("A 记录", list(super::Kind::V4)),
        ("AAAA 记录", list(super::Kind::V6)),
        ("CNAME 记录", list(super::Kind::Name)),
        ("ALIAS 记录（又称 ANAME、CNAME 拉平）", list(super::Kind::Alias)),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(what, values)| format!("{what}，记录值 {values}"))
    .collect();
    if wanted.is_empty() { "指向平台网关的 A 记录".to_owned() } else { wanted.join("；或 ") }
}

/// The same after a Chinese word: a space stands between it and Latin letters alone.
fn spaced(text: &str) -> String {
    if text.starts_with(|c: char| c.is_ascii()) { format!(" {text}") } else { text.to_owned() }
}

fn seen(finding: &Finding) -> String {
    if finding.observed.is_empty() { "其他地址".to_owned() } else { finding.observed.join("、") }
}

/// "（note）", the cause in its place, or nothing.
fn note(finding: &Finding) -> String {
    match &finding.cause {
        Some(cause) => format!("（{}）", sentence(cause)),
        None if finding.note.is_empty() => String::new(),
        None => format!("（{}）", finding.note),
    }
}

/// 谁撤销了写入的内容。
fn reverters(finding: &Finding) -> String {
    match (&finding.observed[..], &finding.required[..]) {
        ([manager, ..], _) => format!("（字段管理者“{manager}”）"),
        ([], []) => String::new(),
        ([], managers) => format!("（对方没有留下名称；写入该对象的有：{}）", managers.join("、")),
    }
}

/// The limit that is used up, and of what.
fn limit(finding: &Finding) -> String {
    let what = match finding.observed.first().and_then(|word| Limit::from_name(word)) {
        Some(Limit::NewOrders) => "新订单数",
        Some(Limit::CertificatesPerDomain) => "每个注册域名证书数",
        Some(Limit::CertificatesPerSet) => "相同域名证书数",
        Some(Limit::FailedAuthorizations) => "验证失败次数",
        Some(Limit::ConsecutiveFailures) => "连续失败次数",
        None => "证书数",
    };
    finding.observed.get(1).map_or_else(|| what.to_owned(), |of| format!("{what}（{of}）"))
}

fn account_rate_limited(finding: &Finding) -> String {
    let issuer = finding.observed.first().map_or("签发者", String::as_str);
    let limit = finding.observed.get(1).map_or_else(String::new, |words| format!("（“{words}”）"));
    let acts = match finding.note.as_str() {
        "" => "请平台管理员稍后".to_owned(),
        link if is_link(link) => format!("请平台管理员先在 {link} 解除暂停，再"),
        from => format!("请平台管理员在 {from} 之后"),
    };
    let how = super::touch(issuer).map_or_else(String::new, |command| format!("，例如 `{command}`"));
    format!(
        "证书机构因速率限制拒绝了 {issuer} 的 ACME 账户{limit}；{acts}修改该签发者{how}，因为 cert-manager 最长十小时内不会自行重试"
    )
}

fn annotation_refused(finding: &Finding, host: &str) -> String {
    let key = finding.observed.first().map_or("", String::as_str);
    let value = finding.observed.get(1).map_or_else(|| " ".to_owned(), |value| format!("（“{value}”）"));
    if finding.note.is_empty() {
        return format!(
            "注解 {key}{value}要求在该 Ingress 上指定签发者，而这样会同时为其中用户自己的 TLS 配置或名称申请证书；请删除该注解，或为 {host} 单独创建 Ingress"
        );
    }
    let remedy = finding
        .required
        .first()
        .map_or_else(|| "请更正或删除".to_owned(), |instead| format!("请改为例如 {instead}，或删除该注解"));
    format!("cert-manager 不接受注解 {key}{value}（{}），{host} 因此无法签发证书；{remedy}", finding.note)
}

/// A name with a space behind it, or nothing.
fn with_space(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name} ") }
}

fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

fn invalid(host: &str, note_text: &str) -> String {
    match fault(host) {
        Some(Fault::Url) => format!("{host} 是网址而不是域名；请在网关规则中只填写域名"),
        Some(Fault::Port) => format!("{host} 带有端口；请在网关规则中只填写域名"),
        Some(Fault::Blank) => format!("{host} 含有空格；请在网关规则中只填写域名"),
        Some(Fault::Underscore) => {
            format!("{host} 含有下划线，证书机构不会为这样的域名签发证书；请在网关规则中改用不含下划线的域名")
        }
        Some(Fault::Wildcard) => {
            format!("{host} 中的 * 不是完整的第一级（应形如 *.example.com）；请修改网关规则中的域名")
        }
        Some(Fault::EmptyLabel) => format!("{host} 中有连续的点；请修改网关规则中的域名"),
        Some(Fault::TooLong) => {
            format!("{host} 超出 DNS 允许的长度（总长 253 个字符，两点之间 63 个字符）；请在网关规则中改用更短的域名")
        }
        Some(Fault::EdgeHyphen(label)) => {
            format!("{host} 中的“{label}”以连字符开头或结尾，DNS 不允许；请修改网关规则中的域名")
        }
        Some(Fault::Hyphens(label)) => format!(
            "{host} 中“{label}”的第三、四位都是连字符，除以 xn-- 开头外证书机构一律拒绝；请在网关规则中更换域名"
        ),
        Some(Fault::Punycode(label)) => {
            format!("{host} 中的“{label}”不是有效的国际化域名编码，证书机构会拒绝；请修改网关规则中的域名")
        }
        Some(Fault::Labels(count)) => format!(
            "{host} 共有 {count} 级，而 Let's Encrypt 最多为 10 级的域名签发证书；请在网关规则中改用级数更少的域名"
        ),
        None => format!("{host} 不是合法的域名{note_text}；请修改网关规则中的域名"),
    }
}

fn not_public(host: &str) -> String {
    let why = match host.rsplit('.').next() {
        Some("arpa") => "位于 .arpa 之下，该后缀专供网络自身使用",
        Some("onion") => "是仅 Tor 网络能解析的名称",
        _ => "不是公网域名",
    };
    format!("{host} {why}，公共证书机构不会为其签发；请绑定已注册的域名")
}

/// Where CAA records of a CNAME's target stand in the way, what its owner or the host's can do.
fn caa(finding: &Finding, what: &str, remedy: &str) -> String {
    let subject = super::readable(&finding.subject);
    let host = or(&subject, "该域名");
    let has = |kind| !super::of_kind(&finding.required, kind).is_empty();
    let addresses = has(super::Kind::V4) || has(super::Kind::V6);
    let instead = if addresses { record(finding) } else { "地址记录".to_owned() };
    match super::caa_of_target(finding) {
        Some(owner) => format!(
            "{host} 是指向 {owner} 的 CNAME，而 {what}；CNAME 所在的名称不能再有 CAA 记录，因此要么由 {owner} 的所有者{remedy}，要么由域名所有者将该 CNAME 改为{}",
            spaced(&instead)
        ),
        None => format!("{what}；请域名所有者{remedy}"),
    }
}

fn caa_forbids(finding: &Finding) -> String {
    let owner = or(&finding.note, or(&finding.subject, "该域名"));
    let observed = seen(finding);
    let wanted = finding.required.first().map_or("允许本证书机构的 issue 记录", String::as_str);
    let (what, verb) = match super::caa(finding) {
        super::Caa::Nobody => (format!("{owner} 的 CAA 记录不允许任何证书机构签发（{observed}）"), "添加"),
        super::Caa::Misspelt => {
            (format!("{owner} 的 CAA 记录本意是本证书机构，但写法不被其识别（{observed}）"), "改为")
        }
        super::Caa::Others => (format!("{owner} 的 CAA 记录只允许其他证书机构（{observed}）"), "添加"),
    };
    caa(finding, &what, &format!("{verb}：{wanted}"))
}

/// How a name of the gateway's leads nowhere.
fn broken(finding: &Finding) -> String {
    match finding.observed.first().map(String::as_str) {
        Some("NXDOMAIN") => "在 DNS 中不存在".to_owned(),
        Some("NODATA") => "没有地址".to_owned(),
        Some(words) => format!("无法解析（{words}）"),
        None => "没有指向任何地址".to_owned(),
    }
}

fn not_validating(finding: &Finding) -> String {
    let (bogus, domain) = finding.note.split_once("; ").unwrap_or((&finding.note, ""));
    let answers =
        if bogus.is_empty() { String::new() } else { format!("（对签名有误的 {bogus} 仍给出应答）") };
    format!(
        "certgate 使用的 DNS 解析器 {} 不验证 DNSSEC{answers}，而 {} 启用了 DNSSEC，因此无法判断证书机构是否会接受其应答；请平台管理员在 `dns.servers` 中改用会验证 DNSSEC 的解析器",
        or(&finding.observed.join("、"), "（当前所用）"),
        or(domain, or(&finding.subject, "该域名"))
    )
}

fn bogus(finding: &Finding, note_text: &str) -> String {
    let subject = or(&finding.subject, "该域名");
    let observed = finding.observed.join("、");
    if !finding.is_about_ds() {
        return format!("{subject} 的 DNSSEC 签名验证失败{note_text}；请联系 DNS 服务商重新签名");
    }
    if finding.note.is_empty() {
        return format!(
            "{subject} 在注册商处留有 DS 记录（{observed}），但其域名服务器并未对该域名签名，证书机构会拒绝其全部应答；请域名所有者在注册商处删除 DS 记录，或请 DNS 服务商启用 DNSSEC 签名"
        );
    }
    format!(
        "{subject} 在注册商处的 DS 记录（{observed}）与该域名的任何密钥（{}）都不匹配，证书机构会拒绝其全部应答；请域名所有者在注册商处将其改为 DNS 服务商提供的 DS 记录，或将其删除",
        finding.note
    )
}

pub(super) fn sentence(finding: &Finding) -> String {
    let subject = super::readable(&finding.subject);
    let host = or(&subject, "该域名");
    let observed = seen(finding);
    let note_text = note(finding);
    let first_required = finding.required.first().map_or("", String::as_str);
    match finding.reason {
        Reason::NotFlagged => format!("{host} 未开启自动签发"),
        Reason::SwitchedOff => format!("{host} 的自动签发已关闭"),
        Reason::FlagUnreadable => format!("{host} 的标记 certgate.dev/auto-issue 既不是 \"true\" 也不是 \"false\"{note_text}；请改为其中之一"),
        Reason::HostRemoved if !finding.note.is_empty() => format!("{host} 已不在该 Ingress 中；所在命名空间将保留该域名至 {}", finding.note),
        Reason::HostRemoved => format!("{host} 已不在该 Ingress 中"),
        Reason::NoHost => "该规则没有填写域名，无需签发证书".to_owned(),
        Reason::HostInvalid => invalid(host, &note_text),
        Reason::DomainMisnamed => format!("该 Domain 的名称与其域名 {host} 不符，因而不起作用；请删除它，并以名称 {} 重新创建", or(first_required, "与域名相同的名称")),
        Reason::HostIsIpAddress => format!("{host} 是 IP 地址；请绑定域名后再申请证书"),
        Reason::NotPublicName => not_public(host),
        Reason::IsPublicSuffix => format!("{host} 是公共后缀，证书机构不会为其签发；请绑定其下的域名"),
        Reason::PlatformDomain => format!("{host} 是平台的默认域名，不单独签发证书"),
        Reason::UserTls => format!("{host} 已有用户自己的 TLS 配置，保持不变"),
        Reason::TlsWithoutSecret => format!("{host} 的 TLS 配置没有填写 Secret，网关只会使用默认证书；请删除该条 TLS 配置（certgate 会自动添加并签发证书），或填写 Secret"),
        Reason::TlsSecretMissing => format!("{host} 的 TLS 配置所引用的 Secret {}不存在；请创建该 Secret，或删除该条 TLS 配置（certgate 会自动添加并签发证书）", with_space(&finding.note)),
        Reason::TlsSecretOfOtherHost => format!("{host} 的 TLS 配置所引用的 Secret {}存放的是其他域名的证书；请改为正确的 Secret，或删除该条 TLS 配置（certgate 会自动添加并签发证书）", with_space(&finding.note)),
        Reason::IssuerAnnotationEmpty => format!("该 Ingress 的注解 {} 为空，cert-manager 不会签发证书；请填写签发者名称，或删除该注解", or(&finding.note, "cert-manager.io/cluster-issuer")),
        Reason::UserIssuerConflict if !finding.note.is_empty() => format!("cert-manager 不允许 cert-manager.io/cluster-issuer 与 {} 同时出现；请改用 cert-manager.io/issuer 填写签发者名称，或删除 {}", finding.note, finding.note),
        Reason::UserIssuerConflict => "该 Ingress 同时指定了两个签发者，cert-manager 会拒绝；请在 cert-manager.io/issuer 与 cert-manager.io/cluster-issuer 中只保留一个".to_owned(),
        Reason::TcpIngress => "这是 TCP 规则，不涉及 HTTPS".to_owned(),
        Reason::PlatformIngress => "该 Ingress 属于平台自身".to_owned(),
        Reason::SolverIngress => "该 Ingress 是 cert-manager 用于应答 ACME 验证的".to_owned(),
        Reason::CompanionIngress => "该 Ingress 是 certgate 创建的伴生对象".to_owned(),
        Reason::NamespaceExcluded => "该命名空间不参与自动签发".to_owned(),
        Reason::BeingDeleted => "该 Ingress 正在被删除".to_owned(),
        Reason::WildcardNeedsDns01 => format!("{host} 是泛域名，需要 DNS-01 验证；请平台管理员为签发者添加 DNS-01 solver{note_text}"),
        Reason::OneHostPerIngress => "Rainbond 5 的网关对每个 Ingress 只使用一张证书；请为每个域名单独创建 Ingress".to_owned(),

        Reason::GatewayManglesHost => format!("Rainbond 5 的网关会以错误的名称提供 {host}（会去掉其中的 \"tls\"），证书机构无法访问；请绑定不含 \"tls\" 的域名"),

        Reason::Pending => format!("{host} 正在等待首次 DNS 检查"),
        Reason::VerdictStale => format!("{host} 的上次检查结果已过期，正在重新检查"),
        Reason::IssuerUnset => "certgate 的策略未指定签发者；请平台管理员设置 `issuer`".to_owned(),
        Reason::IssuerMissing => if finding.note.is_empty() { "策略指定的签发者不存在；请平台管理员创建".to_owned() } else { format!("签发者 {} 不存在；请平台管理员创建", finding.note) },
        Reason::IssuerNotReady => format!("签发者尚未就绪{note_text}；请平台管理员检查"),
        Reason::AccountRateLimited => account_rate_limited(finding),
        Reason::NoSolver => format!("签发者没有适用于 {host} 的 solver{note_text}；请平台管理员添加"),
        Reason::IssuerConflict => format!("{host} 与该 Ingress 中其他域名需要不同的签发者；请为其单独创建 Ingress"),
        Reason::HostTaken if host.starts_with("*.") => format!("{host} 或其覆盖的域名已在本平台其他地方使用；请先在那里移除"),
        Reason::HostTaken => format!("{host} 已被本平台其他团队使用；请先在原处移除"),
        Reason::SecretNameTaken => format!("Secret {} 已存在，且不是 certgate 创建的；请重命名或删除", or(&finding.note, "（certgate 需要使用的名称）")),
        Reason::RequestUnreadable => format!("无法核对该证书请求的内容{note_text}；请删除后重新生成（由 cert-manager 生成，或只包含一个标准 PEM 块）"),
        Reason::CompanionNameTaken => format!("已存在名为 {} 的 Ingress，且不是 certgate 创建的，而 certgate 需要用这个名称处理 {host}；请重命名或删除", or(&finding.note, "（所需名称）")),
        Reason::AnnotationsFull => "该 Ingress 的注解已接近 256 KiB 上限，无法再添加；请精简".to_owned(),
        Reason::IngressFull => "该 Ingress 过大，再添加 TLS 配置将无法保存（上限 1.5 MiB）；请把域名拆分到多个 Ingress".to_owned(),
        Reason::AnnotationRefused => annotation_refused(finding, host),
        Reason::CommonNameConflict => format!("注解 cert-manager.io/common-name 指定了 {observed}，与 {host} 不符，证书机构会拒绝签发；请删除该注解，或为 {host} 单独创建 Ingress"),
        Reason::ExtraNames => format!("注解 {} 会在 {host} 的证书中加入未经检查的名称；请把这些名称写成规则中的域名，并删除该注解", finding.observed.first().map_or("cert-manager.io/alt-names", String::as_str)),
        Reason::IngressRefused => format!("cert-manager 拒绝该 Ingress 的 TLS 配置{note_text}；请合并 Secret 相同或未填写 Secret 的条目，或为每条填写不同的 Secret"),
        Reason::SolverNeedsLabel => format!("签发者有适用于 {host} 的 solver，但要求 Ingress 带有标签 {}；请为该 Ingress 添加此标签", or(&finding.note, "（见签发者配置）")),
        Reason::ObjectUnreadable if finding.note.is_empty() => format!("{host} 依赖的某个对象无法被当前版本的 certgate 读取，因此一切保持原状；请平台管理员检查（`certgate doctor` 会列出该对象）"),
        Reason::ObjectUnreadable => format!("当前版本的 certgate 无法读取 {host}{note_text}，与其相关的一切保持原状；请平台管理员检查"),
        Reason::NoGatewayAddress => format!("尚不知道网关的对外地址；请平台管理员设置 `{}`", or(&finding.note, "gateway.addresses")),
        Reason::AwaitingCertificate => format!("{host} 的证书正在签发，完成后自动绑定"),
        Reason::GatewayNameBroken => format!("平台自己的域名 {} {}，{host} 因此无法通过检查；请平台管理员修复其解析记录，或修正 `gateway.cnames`", or(&finding.note, "（`gateway.cnames`）"), broken(finding)),
        Reason::GatewayNotPublic => format!("已知的网关地址{}都不是公网地址（{observed}），公共证书机构无法连接，{host} 因此无法通过验证；请平台管理员将 `gateway.addresses` 设为公网地址", if finding.note.is_empty() { String::new() } else { format!("（{}）", finding.note) }),
        Reason::ResolverUnreachable => format!("certgate 使用的 DNS 解析器没有应答（{observed}）；请平台管理员检查 `dns.servers` 以及集群能否访问外网"),
        Reason::ResolverRefuses => format!("certgate 使用的 DNS 解析器 {} 拒绝应答 {host} 的查询{note_text}；请平台管理员允许 certgate 查询该解析器，或在 `dns.servers` 中更换", finding.observed.join("、")).replace("  ", " "),
        Reason::ResolverFaulty if finding.note == "NXDOMAIN" => format!("certgate 使用的 DNS 解析器（{observed}）称任何域名都不存在，连 com 也不例外，因此无法检查 {host}；请平台管理员检查 `dns.servers`"),
        Reason::ResolverFaulty => format!("certgate 使用的 DNS 解析器（{observed}）对任何域名都应答失败{note_text}，因此无法检查 {host}；请平台管理员检查 `dns.servers` 及解析器的出网"),
        Reason::ResolverNotValidating => not_validating(finding),
        Reason::RegistryFailure => format!("无法读取 {host} 上级注册局的区域{note_text}，证书机构会视为拒绝；这不是域名所有者或其 DNS 服务商能解决的：若持续出现，请平台管理员检查 `dns.servers` 中的解析器"),
        Reason::RateLimited => format!("为不超出证书机构对{}的限制，{host} 正在排队{}", limit(finding), if finding.note.is_empty() { String::new() } else { format!("；下一个名额在 {}", finding.note) }),

        Reason::DomainNotFound if !finding.note.is_empty() => format!("{host} 没有 DNS 解析记录，因为域名 {} 尚未注册或没有域名服务器；请域名所有者先处理，再添加 {}", finding.note, record(finding)),
        Reason::DomainNotFound => format!("{host} 还没有 DNS 解析记录；请域名所有者添加 {}", record(finding)),
        Reason::NoAddress => format!("{host} 的解析记录中没有地址；请域名所有者添加 {}", record(finding)),
        Reason::DnsServerFailure => format!("{host} 的域名服务器应答失败（SERVFAIL）{note_text}；请联系 DNS 服务商修复"),
        Reason::DnsRefused => format!("{host} 的域名服务器拒绝应答{note_text}；请向 DNS 服务商确认该区域已建立"),
        Reason::DnsTimeout => format!("{host} 的域名服务器未及时应答{note_text}；请联系 DNS 服务商检查"),
        Reason::LameDelegation => format!("{host} 的 NS 记录指向的域名服务器上没有该域名（{observed}）；请域名所有者在 DNS 服务商处添加该域名，或在注册商处修改 DNS 服务器"),
        Reason::CnameTargetFailure => format!("{host} 是指向 {observed} 的 CNAME，而后者的域名服务器应答失败{note_text}；需由其所有者修复，或由域名所有者将 {host} 指向别处"),
        Reason::DnssecBogus => bogus(finding, &note_text),
        Reason::DnsMalformed => format!("{host} 的 DNS 应答格式有误{note_text}；请联系 DNS 服务商检查"),
        Reason::CnameLoop => format!("{host} 的 CNAME 记录形成循环（{observed}）；请域名所有者改为 {}", record(finding)),
        Reason::CnameDangling => format!("{host} 的 CNAME 记录指向 {}，而后者不存在；请域名所有者更正，或改为 {}", or(&finding.note, "另一个名称"), record(finding)),
        Reason::CnameTooLong => format!("{host} 的 CNAME 链过长{note_text}；请域名所有者缩短"),
        Reason::ReservedAddress if !finding.note.is_empty() => format!("{host} 还指向非公网地址（{observed}）；证书机构会忽略它们，使用 {}", finding.note),
        Reason::ReservedAddress => format!("{host} 只指向非公网地址（{observed}）；请域名所有者添加 {}", record(finding)),
        Reason::WrongTarget | Reason::WrongCname if finding.note.starts_with(CDN) => {
            let network = finding.note.strip_prefix(CDN).unwrap_or_default();
            format!("{host} 指向 CDN（{network}：{observed}）；如果该 CDN 回源到本平台，平台管理员可设置 `gateway.target: any-public` 以接受任意公网地址，否则请域名所有者为 {host} 关闭 CDN 代理，并设置{}", spaced(&record(finding)))
        }
        Reason::WrongTarget if !finding.note.is_empty() => format!("{host} 除了指向本平台的 {} 之外，还指向 {observed}，后者不是本平台；证书机构和访客可能使用其中任意一个，请域名所有者删除错误的记录", finding.note),
        Reason::WrongTarget => format!("{host} 指向 {observed}，不是本平台；请域名所有者设置 {}", record(finding)),
        Reason::WrongIpv6 if finding.required.is_empty() => format!("{host} 有指向 {observed} 的 AAAA 记录，证书机构会优先访问它，而它不是本平台；请域名所有者删除该记录"),
        Reason::WrongIpv6 => format!("{host} 有指向 {observed} 的 AAAA 记录，证书机构会优先访问它，而它不是本平台；请域名所有者删除该记录，或设置 {}", record(finding)),
        Reason::WrongCname => format!("{host} 应指向 {}，实际为 {observed}；请域名所有者设置{}", super::of_kind(&finding.required, super::Kind::Name).into_iter().chain(super::of_kind(&finding.required, super::Kind::Alias)).next().unwrap_or("平台的域名"), spaced(&record(finding))),
        Reason::ServersDisagree => format!("{host} 的各域名服务器应答不一致（{observed}）；请等待同步或联系 DNS 服务商"),
        Reason::CaaForbids => caa_forbids(finding),
        Reason::CaaUnknownCritical => caa(finding, &format!("{} 有证书机构不认识的、带 critical 标志的 CAA 记录（{observed}）", or(&finding.note, host)), "删除该记录"),
        Reason::CaaOtherAccount if finding.required.is_empty() => format!("{} 的 CAA 记录只允许一个 ACME 账户（{observed}）；请平台管理员确认它就是签发者的账户", or(&finding.note, host)),
        Reason::CaaOtherAccount => caa(finding, &format!("{} 的 CAA 记录只允许其他 ACME 账户（{observed}）", or(&finding.note, host)), &format!("添加：{}", or(first_required, "允许本账户的记录"))),
        Reason::CaaOtherMethod => caa(finding, &format!("{} 的 CAA 记录不允许当前验证方式（{observed}）", or(&finding.note, host)), &format!("添加：{}", or(first_required, "允许该方式的记录"))),
        Reason::CaaLookupFailed => format!("无法读取 {host} 的 CAA 记录{note_text}，证书机构会视为拒绝；请联系 DNS 服务商修复"),
        Reason::ChallengeCnameBroken => format!("_acme-challenge.{} 指向无法应答验证的位置（{observed}）{}；请域名所有者更正", host.trim_start_matches("*."), if finding.note.is_empty() { String::new() } else { format!("，因为 {} 尚未注册", finding.note) }),

        Reason::HttpUnreachable => format!("{host} 的 80 端口无应答{note_text}；请检查防火墙与负载均衡"),
        Reason::HttpWrongServer => format!("{host} 的 80 端口由其他服务器应答{note_text}；请域名所有者将其指向本平台"),
        Reason::HttpBlocked => format!("{host} 的 80 端口由网络或云平台的拦截系统应答，而不是本平台{note_text}，证书机构同样会被拒绝；在中国大陆，未完成 ICP 备案的域名会被这样拦截，请域名所有者在本平台所在的云服务商完成备案（接入），或改用 DNS-01 验证"),
        Reason::HttpBadRedirect => format!("{host} 的 80 端口的重定向使证书机构无法到达{note_text}；请修复重定向的目标，或为 /.well-known/acme-challenge/ 取消重定向"),

        Reason::Verified => format!("{host} 已指向本平台，证书机构可以完成验证"),
        Reason::NoValidationNeeded => format!("{host} 的签发者无需通过 DNS 验证"),
        Reason::BoundExisting => format!("{host} 已绑定现有证书{note_text}"),
        Reason::Issuing => format!("{host} 的证书正在签发"),
        Reason::Issued if !finding.note.is_empty() => format!("{host} 已有证书，有效期至 {}", finding.note),
        Reason::Issued => format!("{host} 已有证书"),
        Reason::RenewalAtRisk => format!("{host} 已有证书，但续期将会失败{note_text}"),
        Reason::IssuanceFailed => format!("{host} 的证书签发失败{note_text}；cert-manager 会重试"),
        Reason::CaRateLimited => format!("证书机构因速率限制拒绝了 {host}{}{}", finding.observed.first().map_or_else(String::new, |words| format!("（“{words}”）")), if finding.note.is_empty() { String::new() } else { format!("；{} 起可再次申请", finding.note) }),
        Reason::CaUnreachable => format!("为 {host} 申请证书时无法连接证书机构{note_text}；请平台管理员检查集群能否访问外网"),
        Reason::CaPaused => format!("{host} 多次失败，证书机构已暂停签发；请平台管理员解除暂停{}", if finding.note.is_empty() { String::new() } else { format!("：{}", finding.note) }),
        Reason::ChallengeFailed => format!("证书机构对 {host} 的验证由其他服务应答{note_text}"),
        Reason::CertificateMissing => format!("{host} 的 Certificate 已不存在但仍然需要，正在恢复"),
        Reason::ChangesReverted => format!("certgate 写入 Ingress {host} 的内容一再被撤销{}；在对方不再改动 spec.tls 和 certgate 的注解之前，重新写入的间隔会越来越长；若不需要证书，请添加注解 certgate.dev/auto-issue: \"false\"", reverters(finding)),
        Reason::RouteWithoutCertificate => format!("{host} 的路由已开启自动签发，但没有 Certificate；请在网关页面关闭后重新开启"),
        Reason::CertificateLeftOver => format!("{host} 的路由已全部删除，但 Rainbond 自动签发创建的 Certificate{note_text} 仍在，会一直续期；不再需要时请删除"),
    }
}

//! The page's fixed words. One struct, so that no language lacks one.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use crate::{core::finding::Lang, status::render::span};

/// The words of one language.
#[allow(missing_docs, reason = "each field is its own meaning")]
pub struct Words {
    pub title: &'static str,
    pub skip: &'static str,
    pub hosts: &'static str,
    pub ready: &'static str,
    pub waiting: &'static str,
    pub in_progress: &'static str,
    pub needs_action: &'static str,
    pub at_risk: &'static str,
    pub longest: &'static str,
    pub soonest: &'static str,
    pub nothing: &'static str,
    pub plot: &'static str,
    pub search: &'static str,
    pub search_hint: &'static str,
    pub state: &'static str,
    pub all: &'static str,
    pub who: &'static str,
    pub anybody: &'static str,
    pub show: &'static str,
    pub host: &'static str,
    pub namespace: &'static str,
    pub what: &'static str,
    pub since: &'static str,
    pub next: &'static str,
    pub expires: &'static str,
    pub first: &'static str,
    pub last: &'static str,
    pub previous: &'static str,
    pub following: &'static str,
    pub pages: &'static str,
    pub back: &'static str,
    pub reason: &'static str,
    pub timeline: &'static str,
    pub seen: &'static str,
    pub dns: &'static str,
    pub certificate: &'static str,
    pub served: &'static str,
    pub observed: &'static str,
    pub required: &'static str,
    pub none: &'static str,
    pub facts: &'static str,
    pub last_check: &'static str,
    pub lead: &'static str,
    pub warnings: &'static str,
    pub missing: &'static str,
    pub loading: &'static str,
    pub other_language: &'static str,
    pub done: &'static str,
    pub open: &'static str,
    pub allowed: &'static str,
    pub caa: &'static str,
    pub injected: &'static str,
    pub renewal: &'static str,
    pub issuer: &'static str,
    pub secret: &'static str,
    pub kind: &'static str,
    pub name: &'static str,
    pub value: &'static str,
    pub any_one: &'static str,
    pub check_now: &'static str,
    pub copy: &'static str,
    pub copied: &'static str,
    pub live: &'static str,
    pub lost: &'static str,
    pub sign_in: &'static str,
    pub sign_out: &'static str,
    pub token: &'static str,
    pub token_hint: &'static str,
    pub refused: &'static str,
    pub cannot_ask: &'static str,
    pub clear: &'static str,
}

/// English.
pub static EN: Words = Words {
    title: "certgate: hosts and their certificates",
    skip: "Skip to content",
    hosts: "Hosts",
    ready: "Ready",
    waiting: "Waiting",
    in_progress: "In progress",
    needs_action: "Somebody must act",
    at_risk: "Renewal at risk",
    longest: "Waiting longest",
    soonest: "Soonest to expire",
    nothing: "Nothing here.",
    plot: "Hosts that got their certificate, by day",
    search: "Search",
    search_hint: "Part of a host or namespace",
    state: "State",
    all: "All",
    who: "Who must act",
    anybody: "Anybody",
    show: "Show",
    host: "Host",
    namespace: "Namespace",
    what: "What it waits for",
    since: "Since",
    next: "Next check",
    expires: "Expires",
    first: "First",
    last: "Last",
    previous: "Previous",
    following: "Next",
    pages: "Pages",
    back: "All hosts",
    reason: "Reason",
    timeline: "From Ingress to certificate",
    seen: "Host found on an Ingress",
    dns: "DNS leads to this platform",
    certificate: "Certificate",
    served: "Certificate in place",
    observed: "Seen in DNS",
    required: "Records to set",
    none: "none",
    facts: "Particulars",
    last_check: "Last recorded check",
    lead: "Ingress that orders",
    warnings: "Worth knowing",
    missing: "There is no such host.",
    loading: "The hosts are still being listed.",
    other_language: "中文",
    done: "done",
    open: "not yet",
    allowed: "Policy and issuer allow it",
    caa: "CAA lets the CA issue",
    injected: "HTTPS asked for in the gateway",
    renewal: "Renewed before it ends",
    issuer: "Issuer",
    secret: "Secret",
    kind: "Type",
    name: "Name",
    value: "Value",
    any_one: "One of these is enough.",
    check_now: "Look again at once",
    copy: "Copy",
    copied: "Copied",
    live: "live",
    lost: "connection lost, trying again",
    sign_in: "Sign in",
    sign_out: "Sign out",
    token: "Bearer token of a Kubernetes account that may list Domains",
    token_hint: "kubectl create token NAME -n NAMESPACE makes one.",
    refused: "The cluster does not take this token, or its account may not list Domains.",
    cannot_ask: "The cluster cannot be asked about the token now; try again.",
    clear: "Clear",
};

/// Simplified Chinese.
pub static ZH: Words = Words {
    title: "certgate：域名与证书",
    skip: "跳到正文",
    hosts: "域名",
    ready: "就绪",
    waiting: "等待中",
    in_progress: "处理中",
    needs_action: "需要处理",
    at_risk: "续期有风险",
    longest: "等待最久",
    soonest: "最早到期",
    nothing: "暂无内容。",
    plot: "每日获得证书的域名数",
    search: "搜索",
    search_hint: "域名或命名空间的一部分",
    state: "状态",
    all: "全部",
    who: "由谁处理",
    anybody: "不限",
    show: "显示",
    host: "域名",
    namespace: "命名空间",
    what: "等待原因",
    since: "起始时间",
    next: "下次检查",
    expires: "到期时间",
    first: "首页",
    last: "末页",
    previous: "上一页",
    following: "下一页",
    pages: "分页",
    back: "全部域名",
    reason: "原因代码",
    timeline: "从 Ingress 到证书",
    seen: "在 Ingress 中发现域名",
    dns: "DNS 指向本平台",
    certificate: "证书",
    served: "证书已就位",
    observed: "DNS 现状",
    required: "需要设置的记录",
    none: "无",
    facts: "详细信息",
    last_check: "最近一次有记录的检查",
    lead: "申请证书的 Ingress",
    warnings: "请注意",
    missing: "没有这个域名。",
    loading: "正在读取域名列表。",
    other_language: "English",
    done: "已完成",
    open: "未完成",
    allowed: "平台策略与签发者允许",
    caa: "CAA 允许证书机构签发",
    injected: "已在网关中开启 HTTPS",
    renewal: "到期前自动续期",
    issuer: "签发者",
    secret: "Secret",
    kind: "记录类型",
    name: "主机记录",
    value: "记录值",
    any_one: "其中一条即可。",
    check_now: "立即重新检查",
    copy: "复制",
    copied: "已复制",
    live: "实时",
    lost: "连接中断，正在重连",
    sign_in: "登录",
    sign_out: "退出",
    token: "有权列出 Domain 的 Kubernetes 账号的令牌",
    token_hint: "可用 kubectl create token 名称 -n 命名空间 生成。",
    refused: "集群不接受该令牌，或该账号无权列出 Domain。",
    cannot_ask: "暂时无法向集群核实令牌，请重试。",
    clear: "清除",
};

/// The words of a language.
pub fn of(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::ZhCn => &ZH,
    }
}

/// The language's tag (BCP 47).
pub const fn tag(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::ZhCn => "zh-CN",
    }
}

/// The language in an address.
pub const fn short(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::ZhCn => "zh",
    }
}

/// The other language.
pub const fn other(lang: Lang) -> Lang {
    match lang {
        Lang::En => Lang::ZhCn,
        Lang::ZhCn => Lang::En,
    }
}

/// How long ago, or in how long.
pub fn relative(at: Timestamp, now: Timestamp, lang: Lang) -> String {
    let (past, distance) = if at <= now { (true, now.duration_since(at)) } else { (false, at.duration_since(now)) };
    let distance: SignedDuration = distance;
    match (lang, past) {
        (Lang::En, true) => format!("{} ago", span(distance, lang)),
        (Lang::En, false) => format!("in {}", span(distance, lang)),
        (Lang::ZhCn, true) => format!("{}前", span(distance, lang)),
        (Lang::ZhCn, false) => format!("{}后", span(distance, lang)),
    }
}

/// That what is shown is of then.
pub fn stale(since: Timestamp, lang: Lang) -> String {
    let since = since.strftime("%Y-%m-%d %H:%M UTC");
    match lang {
        Lang::En => format!(
            "What is shown is as of {since}: nothing newer could be read from the API server since. certgate keeps trying."
        ),
        Lang::ZhCn => format!("所示内容截至 {since}：此后未能从 API 服务器获取更新，正在持续重试。"),
    }
}

/// Which hosts of how many are shown: the first and last of those listed, where they are not all.
pub fn count(lang: Lang, shown: RangeInclusive<usize>, listed: usize, all: usize) -> String {
    let (first, last) = shown.into_inner();
    let whole = last.saturating_sub(first) + 1 >= listed;
    match lang {
        Lang::En if whole => format!("{listed} of {all} hosts"),
        Lang::ZhCn if whole && listed == all => format!("共 {all} 个域名"),
        Lang::ZhCn if whole => format!("共 {all} 个域名，显示其中 {listed} 个"),
        Lang::En if listed == all => format!("{first} to {last} of {all} hosts"),
        Lang::ZhCn if listed == all => format!("共 {all} 个域名，显示第 {first} 至 {last} 个"),
        Lang::En => format!("{first} to {last} of {listed}, out of {all} hosts"),
        Lang::ZhCn => format!("共 {all} 个域名，其中符合条件的 {listed} 个，显示第 {first} 至 {last} 个"),
    }
}

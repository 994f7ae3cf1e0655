//! Block pages: what a network's or cloud's filter answers in the gateway's place. In mainland China port 80 of a
//! domain without ICP licence is answered so, whatever the domain points to, and a CA gets the same answer.

use url::Url;

use super::fetch::Answered;

/// Filters by the name they give themselves in `Server`.
const SERVERS: [&str; 1] = ["beaver"];
/// Pages that filters send people to, or show within their own.
const PAGES: [&str; 3] = ["batit.aliyun.com", "dnspod.qcloud.com/static/webblock", "/webblock.html"];
/// Words of a page that refuses. Elsewhere they stand in the footer of any Chinese site.
const WORDS: [&str; 6] = ["备案", "icp filing", "icp licen", "beian", "unlicensed", "非法阻断"];
/// Words in the address of a notice.
const NOTICES: [&str; 8] = ["webblock", "beian", "icp", "batit", "notice", "blocked", "forbidden", "warning"];

/// What shows that an answer is a filter's; `None`: nothing does.
pub(super) fn shown(answered: &Answered) -> Option<String> {
    let server = answered.server.to_ascii_lowercase();
    let body = answered.body.to_lowercase();
    let refused = is_refusal(answered.status);
    let by_server = refused && SERVERS.contains(&server.as_str());
    let by_page = PAGES.iter().any(|page| body.contains(page));
    let by_words = refused && WORDS.iter().any(|word| body.contains(word));
    (by_server || by_page || by_words).then(|| super::words(answered))
}

/// Whether an answer says that one may not, rather than that there is nothing.
pub(super) const fn is_refusal(status: u16) -> bool {
    matches!(status, 403 | 451)
}

/// Whether a redirect from one address to the other leads to a notice and not to the site.
pub(super) fn is_notice(from: &Url, to: &Url) -> bool {
    let place = format!("{}{}", to.host_str().unwrap_or_default(), to.path()).to_lowercase();
    from.host() != to.host()
        && NOTICES.iter().any(|word| of_words(&place).any(|part| part == *word || part.starts_with("webblock")))
}

/// The words of an address: `notice` is one in `notice.example.com`, and not in `noticeable.example.com`.
fn of_words(place: &str) -> impl Iterator<Item = &str> {
    place.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn answered(status: u16, server: &str, body: &str) -> Answered {
        Answered { status, location: None, server: server.into(), body: body.into() }
    }

    #[rstest]
    #[case::alibaba_cloud(403, "Beaver", "", true)]
    #[case::its_page(403, "", "<iframe src=\"http://batit.aliyun.com/alww.html\">", true)]
    #[case::tencent_cloud(
        200,
        "",
        "<script>location='https://dnspod.qcloud.com/static/webblock.html?d=x'</script>",
        true
    )]
    #[case::in_words(403, "nginx", "该网站暂时无法访问：未备案", true)]
    #[case::the_applications_own_refusal(403, "openresty", "Forbidden", false)]
    #[case::a_site_with_its_licence(404, "openresty", "<a href=\"https://beian.miit.gov.cn\">京ICP备1号</a>", false)]
    fn a_filters_answer_is_told(#[case] status: u16, #[case] server: &str, #[case] body: &str, #[case] expected: bool) {
        assert_eq!(shown(&answered(status, server, body)).is_some(), expected);
    }

    #[rstest]
    #[case("https://dnspod.qcloud.com/static/webblock.html?d=www.example.com", true)]
    #[case("http://notice.example.net/", true)]
    #[case("http://www.example.net/icp/notice.html", true)]
    #[case("https://www.example.com/notice", false)]
    #[case("https://noticeable.example.net/", false)]
    #[case("https://example.net/", false)]
    fn a_notice_is_told_by_its_address(#[case] to: &str, #[case] expected: bool) {
        let from = Url::parse("http://www.example.com/.well-known/acme-challenge/x").unwrap();
        assert_eq!(is_notice(&from, &Url::parse(to).unwrap()), expected);
    }
}

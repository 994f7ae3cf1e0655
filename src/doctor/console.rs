//! Whether Rainbond's console answers, where its flags are taken.

use jiff::Timestamp;

use super::{Check, Observed, Report, Text};
use crate::core::{finding::clean, names};

/// So many looks in a row may fail before anybody need care, and for at least so many seconds.
const LOOKS: i64 = 10;
const PATIENCE: i64 = 600;

pub(super) fn console(observed: &Observed, report: &mut Report) {
    let Some(settings) = observed.policy().and_then(|policy| policy.console.as_ref()) else { return };
    // What is wrong with the Lease itself is told of elsewhere.
    let Some(lease) = observed.lease.get() else { return };
    let url = clean(&settings.url);
    let remedy = Text::new(
        format!(
            "see the controller's log for the console's words; Secret {} in {} must hold an administrator's API token as `token`",
            settings.secret, observed.names.namespace
        ),
        format!(
            "请在控制器日志中查看控制台的答复；命名空间 {} 中的 Secret {} 须以 `token` 保存管理员的 API 令牌",
            observed.names.namespace, settings.secret
        ),
    );
    let noted = lease.metadata.annotations.as_ref().and_then(|all| all.get(names::CONSOLE_ANSWERED));
    let Some(at) = noted.and_then(|text| text.parse::<Timestamp>().ok()) else {
        let what = Text::new(format!("the console at {url} has never answered"), format!("控制台 {url} 从未答复"));
        return report.fail(Check::Console, "ConsoleNeverAnswered", what, remedy);
    };
    let interval = i64::try_from(settings.interval_seconds).unwrap_or(i64::MAX);
    let age = observed.time().as_second().saturating_sub(at.as_second());
    if age > interval.saturating_mul(LOOKS).max(PATIENCE) {
        let what = Text::new(
            format!("the console at {url} has not answered since {at}; flags known by then stand"),
            format!("控制台 {url} 自 {at} 起没有答复；此前的标记仍然有效"),
        );
        return report.fail(Check::Console, "ConsoleSilent", what, remedy);
    }
    report.ok(Check::Console, format!("{url} answered at {at}"), format!("{url} 于 {at} 答复"));
}

//! Objects that cannot be read.

use super::{Check, Observed, Report, Text};
use crate::core::finding::clean;

/// How many of a kind are named.
const MOST_NAMED: usize = 5;

/// Whether every object that certgate watches can be read.
pub(super) fn objects(observed: &Observed, report: &mut Report) {
    let check = Check::Objects;
    for (kind, seen) in &observed.unreadable {
        let Some(Some(found)) = report.look(check, &format!("{kind} objects"), seen) else { continue };
        let Some(first) = found.first() else { continue };
        let named: Vec<String> = found
            .iter()
            .take(MOST_NAMED)
            .map(|one| match one.namespace() {
                "" => clean(one.name()),
                namespace => format!("{}/{}", clean(namespace), clean(one.name())),
            })
            .collect();
        let (named, count, why) = (named.join(", "), found.len(), clean(&first.error));
        let what = Text::new(
            format!(
                "{count} {kind} objects cannot be read: {named} (of the first: {why}); what hangs on them stays as it is"
            ),
            format!("{count} 个 {kind} 对象无法读取：{named}（第一个的原因：{why}）；与其相关的一切保持原状"),
        );
        let remedy = Text::new(
            "mend the fields that are named, or run the version of certgate that wrote them",
            "请修正所指出的字段，或运行写入这些字段的 certgate 版本",
        );
        report.warn(check, "ObjectsUnreadable", what, remedy);
    }
    if report.is_well(check) && !observed.unreadable.is_empty() {
        report.ok(check, "every object that certgate watches can be read", "certgate 监视的所有对象均可读取");
    }
}

//! What has room on an Ingress: a write that was valid stays valid.

use super::{HostDecision, Subject, Wanted, Why, inject};
use crate::core::{
    knowledge::Knowledge,
    reason::{Action, Reason},
    record::is_reserved_name,
};

impl<'a, K: Knowledge> Subject<'a, K> {
    /// Holds what has no room: TLS entries that the record must name, and those with which the object could not be stored.
    pub(super) fn settle_sizes(&self, hosts: &mut [HostDecision<'a>], wanted: &mut Vec<Wanted<'a>>) {
        let ingress = self.scope.ingress;
        let mut hold = |want: &Wanted<'a>, reason| {
            if let Some(decision) = hosts.get_mut(want.decision) {
                decision.action = Action::Hold;
                decision.why = Why::Plain(reason);
            }
        };
        let growth = |want: &Wanted<'_>| want.host.len() + want.secret.len() + inject::ENTRY_FRAME;
        let mut size = ingress.octets + inject::ANNOTATIONS_GROWTH;
        if ingress.octets > 0 && size + wanted.iter().map(growth).sum::<usize>() > inject::MAX_OBJECT {
            wanted.retain(|want| {
                let grown = size + growth(want);
                let fits = self.present.serves(&want.host) || grown <= inject::MAX_OBJECT;
                if fits && !self.present.serves(&want.host) {
                    size = grown;
                } else if !fits {
                    hold(want, Reason::IngressFull);
                }
                fits
            });
        }
        while !inject::belongs(self, wanted).fits(ingress, &self.present) {
            let new =
                |want: &Wanted<'_>| !self.present.serves(&want.host) && !is_reserved_name(&want.secret, &want.host);
            let ordering = |want: &Wanted<'_>| !self.present.serves(&want.host) && want.orders.is_some();
            let last = wanted.iter().rposition(new).or_else(|| wanted.iter().rposition(ordering));
            let Some(index) = last else { return };
            hold(&wanted.remove(index), Reason::AnnotationsFull);
        }
    }
}

//! The CA's limits at work: plans that need a place ask for it, and whoever is let go is planned again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Shared, whole_seconds};
use crate::{
    api::domain::Domain,
    cluster::world::{World, gate::SeenRequest},
    core::{
        host::Host,
        reconcile::{Checks, HostPlan, Notes, request::RequestPlan},
    },
};

/// How often it is looked whether somebody's turn has come.
const PERIOD: Duration = Duration::from_millis(500);
/// After how many looks the budget is tidied whether or not somebody waits.
const ROUNDS: u32 = 120;

/// Lets those that wait go when their turn comes, for ever.
pub async fn run(shared: Arc<Shared>) -> Infallible {
    let mut tick = tokio::time::interval(PERIOD);
    let mut rounds = 0_u32;
    loop {
        tick.tick().await;
        let now = Timestamp::now();
        rounds = rounds.wrapping_add(1);
        // Now and then also what nobody used is given up.
        if shared.world().has_turns(now) || rounds.is_multiple_of(ROUNDS) {
            shared.budget(|world| world.take_turns(now));
        }
    }
}

impl Shared {
    /// Changes the budget, and has those planned again that were let go by that.
    fn budget<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let (result, granted) = {
            let mut world = self.world.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            let result = change(&mut world);
            (result, world.take_granted())
        };
        for key in granted {
            self.enqueue(key);
        }
        result
    }

    /// The plan for a host, made with its place within the CA's limits; and the Domain that it was made for, of one look:
    /// what is written of the plan is written to that version alone.
    pub(super) fn plan_host(
        &self,
        namespace: &Arc<str>,
        host: &Host,
        checks: &mut Checks,
        notes: &Notes,
        now: Timestamp,
    ) -> (HostPlan, Option<Domain>) {
        let domain = |world: &World| world.domain_object(namespace, host).map(|seen| seen.domain.clone());
        let (plan, before) = {
            let world = self.world();
            let plan = world.plan_placed(namespace, host, checks, notes, now);
            let domain = domain(&world);
            if !world.is_misplaced(namespace, host, &plan.need, &checks.place) {
                return (plan, domain);
            }
            (plan, domain)
        };
        let place = self.budget(|world| world.settle_need(namespace, host, &plan.need, now));
        if place == checks.place {
            return (plan, before);
        }
        checks.place = place;
        let world = self.world();
        (world.plan_host(namespace, host, checks, notes, now), domain(&world))
    }

    /// The plan for a request, likewise.
    pub(super) fn plan_request(&self, namespace: &Arc<str>, seen: &SeenRequest) -> RequestPlan {
        let now = whole_seconds(Timestamp::now());
        let plan = {
            let world = self.world();
            let place = world.place_of_request(namespace, seen, now);
            world.plan_request(namespace, seen, &place, now)
        };
        if plan != RequestPlan::Ask {
            return plan;
        }
        let place = self.budget(|world| world.ask_for_request(namespace, seen, now));
        self.world().plan_request(namespace, seen, &place, now)
    }
}

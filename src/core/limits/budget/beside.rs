//! Orders for the same names at several CAs, or by several accounts: a place at one is none at another.

use jiff::Timestamp;

use super::{
    super::{Account, Ask, CaLimits, Id, Place, Wait},
    Budget,
};

impl Budget {
    /// Whether what is kept or waits for these names is at another CA, or another account's.
    pub(super) fn is_elsewhere(&self, id: &Id, account: &Account) -> bool {
        let held = self.held.get(id).map(|held| &held.account);
        let known = held.or_else(|| self.waiting.get(id).map(|waiting| &waiting.ask.account));
        known.is_some_and(|known| known != account)
    }

    /// Whether an order may go beside one for the same names at another CA: by what is left now. It keeps no place.
    pub(super) fn beside(&mut self, ask: &Ask, now: Timestamp) -> Place {
        let limits = self.limits(&ask.account.directory);
        let keys = self.keys_of(ask, limits.as_ref().unwrap_or(&CaLimits::default()), now);
        if let Some(wait) = self.refused(&keys, now) {
            return Place::Waiting(wait);
        }
        if limits.is_none() {
            return Place::Free;
        }
        match self.blocked(&keys, &ask.account, now) {
            None => Place::Granted,
            Some((key, until)) => {
                Place::Waiting(Wait { limit: key.kind, of: key.subject().to_owned(), until, refused: false })
            }
        }
    }

    /// Where an order by that account stands.
    pub fn place_by(&self, id: &Id, account: &Account, now: Timestamp) -> Place {
        if self.is_elsewhere(id, account) { Place::Unasked } else { self.place(id, now) }
    }
}

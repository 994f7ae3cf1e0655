//! Differences by class, and those that are known and wanted.

use std::collections::BTreeMap;

/// Class → why it stays, by subject.
type Known = BTreeMap<String, BTreeMap<String, String>>;

/// What was compared about one subject.
pub(crate) struct Classes {
    subject: &'static str,
    compared: usize,
    /// Class → how many, and an example.
    seen: BTreeMap<String, (usize, String)>,
}

impl Classes {
    pub(crate) fn new(subject: &'static str) -> Self {
        Self { subject, compared: 0, seen: BTreeMap::new() }
    }

    pub(crate) fn compared(&self) -> usize {
        self.compared
    }

    /// One more was compared, and both said the same.
    pub(crate) fn same(&mut self) {
        self.compared += 1;
    }

    /// One more was compared, and both differed in the way of `class`.
    pub(crate) fn differs(&mut self, class: impl Into<String>, example: impl FnOnce() -> String) {
        self.compared += 1;
        self.seen.entry(class.into()).or_insert_with(|| (0, example())).0 += 1;
    }

    /// Prints the classes.
    ///
    /// # Panics
    /// One of them is not known.
    pub(crate) fn check(self) {
        let known: Known = serde_saphyr::from_str(include_str!("known.yaml")).expect("known.yaml");
        let known = known.get(self.subject).cloned().unwrap_or_default();
        println!("{}: {} compared, {} ways to differ", self.subject, self.compared, self.seen.len());
        let mut unknown = Vec::new();
        for (class, (count, example)) in &self.seen {
            let why = known.get(class);
            println!(
                "  {count:6}  {class}\n          such as {example}\n          {}",
                why.map_or("NOT KNOWN", |why| why)
            );
            unknown.extend(why.is_none().then_some(class));
        }
        for class in known.keys().filter(|class| !self.seen.contains_key(*class)) {
            println!("       0  {class}: known, and not seen this time");
        }
        assert!(unknown.is_empty(), "{}: differences without a reason in known.yaml: {unknown:#?}", self.subject);
    }
}

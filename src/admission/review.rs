//! Reads an AdmissionReview (`admission.k8s.io/v1`): borrowed and typed, only
//! what a decision needs, in one pass. Never a DOM; `oldObject`, `userInfo` and
//! all the rest are skipped over.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};

use serde_json::value::RawValue;

use super::json;
use crate::core::ingress::{CowStr, Ingress};

/// The version of reviews that is spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// Their kind.
pub const KIND: &str = "AdmissionReview";

/// What a request body turned out to be.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart once a request; a box would be one more allocation there"
)]
pub enum Reading<'a> {
    /// A review that can be read in full.
    Review(Review<'a>),
    /// A review of which only the uid can be read.
    Unreadable {
        /// The request's uid.
        uid: Cow<'a, str>,
        /// Why the rest cannot be read.
        why: String,
    },
    /// No review, or one without a readable uid.
    Malformed {
        /// Why.
        why: String,
    },
}

/// An AdmissionReview.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Review<'a> {
    /// [`API_VERSION`], if it is one of ours.
    #[serde(borrow, default)]
    pub api_version: CowStr<'a>,
    /// [`KIND`], if it is one at all.
    #[serde(borrow, default)]
    pub kind: CowStr<'a>,
    /// What is asked.
    #[serde(borrow)]
    pub request: Request<'a>,
}

/// The request of a review.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Identifies the request; the response repeats it.
    #[serde(borrow)]
    pub uid: CowStr<'a>,
    /// The resource written to.
    #[serde(borrow, default)]
    pub resource: Resource<'a>,
    /// `status`, `scale`, or empty.
    #[serde(borrow, default)]
    pub sub_resource: Option<CowStr<'a>>,
    /// Empty on a create with `generateName`.
    #[serde(borrow, default)]
    pub name: Option<CowStr<'a>>,
    /// The object's namespace; authoritative, the object itself may leave it out.
    #[serde(borrow, default)]
    pub namespace: Option<CowStr<'a>>,
    /// What is done to the object.
    #[serde(default)]
    pub operation: Operation,
    /// The object as it is to be stored; absent on DELETE. Other kinds than
    /// Ingress read as one with no more than its metadata.
    #[serde(borrow, default)]
    pub object: Option<Ingress<'a>>,
}

/// A resource by group, version and plural name.
#[derive(Debug, Default, Deserialize)]
pub struct Resource<'a> {
    /// The API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: CowStr<'a>,
    /// The version.
    #[serde(borrow, default)]
    pub version: CowStr<'a>,
    /// The plural name.
    #[serde(borrow, default)]
    pub resource: CowStr<'a>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// Anything else, of which nothing follows.
    #[default]
    #[serde(other)]
    Other,
}

/// Reads a request body. Total: whatever the bytes are, this says what they are.
pub fn read(body: &[u8]) -> Reading<'_> {
    match json::read::<Review<'_>>(body) {
        Ok(mut review) if !review.request.uid.is_empty() => {
            if let Some(object) = review.request.object.as_mut().filter(|_| body.len() > LARGE) {
                object.octets = object_octets(body);
            }
            Reading::Review(review)
        }
        Ok(_) => Reading::Malformed { why: "request.uid is empty".to_owned() },
        Err(error) => match find_uid(body) {
            Some(uid) => Reading::Unreadable { uid, why: error.to_string() },
            None => Reading::Malformed { why: error.to_string() },
        },
    }
}

/// From which size of a review on the size of its object matters.
const LARGE: usize = 512 * 1024;

/// The size of a review's object, or more.
fn object_octets(body: &[u8]) -> usize {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        request: RawRequest<'a>,
    }
    #[derive(Deserialize)]
    struct RawRequest<'a> {
        #[serde(borrow)]
        object: &'a RawValue,
    }
    serde_json::from_slice::<Raw<'_>>(body).map_or(body.len(), |raw| raw.request.object.get().len())
}

// === impl Review ===

impl Review<'_> {
    /// Whether kind and version are those of an AdmissionReview v1.
    pub fn is_v1(&self) -> bool {
        *self.api_version == *API_VERSION && *self.kind == *KIND
    }
}

// === impl Resource ===

impl Resource<'_> {
    /// Whether this is `networking.k8s.io/v1` Ingresses.
    pub fn is_ingress(&self) -> bool {
        *self.resource == *"ingresses" && *self.group == *"networking.k8s.io" && *self.version == *"v1"
    }

    /// Whether this is core `v1` Services.
    pub fn is_service(&self) -> bool {
        *self.resource == *"services" && self.group.is_empty() && *self.version == *"v1"
    }
}

// === uid of a broken review ===

/// The first `request.uid` of a body, however broken what follows it is.
pub fn find_uid(body: &[u8]) -> Option<Cow<'_, str>> {
    let mut uid = None;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // An error is what brought us here; what was found before it counts.
    let _ = Members { of: Level::Review, uid: &mut uid }.deserialize(&mut deserializer);
    uid.filter(|uid| !uid.is_empty())
}

enum Level {
    Review,
    Request,
}

/// Walks the members of the review, then of its request, and keeps the uid.
struct Members<'s, 'de> {
    of: Level,
    uid: &'s mut Option<Cow<'de, str>>,
}

impl<'de> DeserializeSeed<'de> for Members<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<CowStr<'de>>()? {
            match (&self.of, &*key) {
                (Level::Review, "request") => {
                    map.next_value_seed(Members { of: Level::Request, uid: &mut *self.uid })?;
                }
                (Level::Request, "uid") if self.uid.is_none() => {
                    *self.uid = Some(map.next_value::<CowStr<'de>>()?.0);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

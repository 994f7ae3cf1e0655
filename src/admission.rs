//! The admission endpoint: AdmissionReview in, AdmissionReview out.
//!
//! [`review`] reads no more of the request than the decision needs, borrowed
//! from the body by [`json`]; [`answer`] decides and writes the response; [`handler`] ties
//! both to the server, the index and the metrics. A readable review is always
//! allowed: whatever goes wrong here must not cost anybody a write.
//!
//! [`approve`] is the second gate: the one refusal there is, of approving a CertificateRequest too early.

pub mod answer;
pub mod approve;
pub mod handler;
pub mod json;
pub mod review;

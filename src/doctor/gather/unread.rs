//! Objects of the kinds that certgate watches that this program cannot read.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::Look;
use crate::{
    api::{
        domain::Domain,
        partial::{
            certificate::Certificate,
            certificate_request::CertificateRequest,
            ingress::Ingress,
            issuance::{Challenge, Order},
            issuer::{ClusterIssuer, Issuer},
            metadata::Metadata,
            route::ApisixRoute,
        },
        read::{Read, Unreadable},
        verified_hosts::VerifiedHosts,
    },
    doctor::Seen,
};

impl Look {
    /// Those of every kind but Secrets, which not everybody may list; all pages, for one may be the last.
    pub(super) async fn unreadable(&self) -> Vec<(String, Seen<Vec<Unreadable>>)> {
        vec![
            self.unreadable_of::<Ingress>().await,
            self.unreadable_of::<Domain>().await,
            self.unreadable_of::<VerifiedHosts>().await,
            self.unreadable_of::<Metadata<Namespace>>().await,
            self.unreadable_of::<Certificate>().await,
            self.unreadable_of::<CertificateRequest>().await,
            self.unreadable_of::<Order>().await,
            self.unreadable_of::<Challenge>().await,
            self.unreadable_of::<Issuer>().await,
            self.unreadable_of::<ClusterIssuer>().await,
            self.unreadable_of::<ApisixRoute>().await,
        ]
    }

    async fn unreadable_of<K>(&self) -> (String, Seen<Vec<Unreadable>>)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
        K::Scope: 'static,
    {
        let kind = K::kind(&()).into_owned();
        let api: Api<Read<K>> = Api::all(self.client.clone());
        let listed = match self.all(&api, ListParams::default()).await {
            Seen::Absent => Seen::Here(Vec::new()),
            listed => listed,
        };
        let unreadable = |object: Read<K>| object.result().err().map(|found| *found);
        (kind, listed.map(|all| all.into_iter().filter_map(unreadable).collect()))
    }
}

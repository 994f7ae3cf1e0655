//! Asks what certgate's accounts may do.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
        SubjectAccessReviewSpec,
    },
};
use kube::{Api, api::PostParams};

use super::Look;
use crate::{
    core::policy::Policy,
    doctor::{
        observed::{Access, Names},
        permissions::{Permission, needed},
    },
};

/// Questions under way at a time.
const SIDE_BY_SIDE: usize = 8;

impl Look {
    /// Asks for the accounts; where that is not allowed, for whoever asks.
    pub(super) async fn access(&self, names: &Names, policy: &Policy) -> Access {
        let wanted = needed(names, policy);
        let asked = tokio::time::timeout(self.patience * 2, async {
            match self.lacking(&wanted, |permission| self.account_may(names, permission)).await {
                Ok(lacking) => Ok(Access::OfAccounts(lacking)),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    let lacking = self.lacking(&wanted, |permission| self.may(permission)).await?;
                    Ok(Access::OfOneself { user: self.who().await, lacking })
                }
                Err(error) => Err(error),
            }
        });
        match asked.await {
            Ok(Ok(access)) => access,
            Ok(Err(error)) => Access::Failed(error.to_string()),
            Err(_) => Access::Failed(format!("no answer within {:?}", self.patience * 2)),
        }
    }

    async fn lacking<F>(&self, wanted: &[Permission], may: impl Fn(Permission) -> F) -> kube::Result<Vec<Permission>>
    where
        F: Future<Output = kube::Result<bool>>,
    {
        let answers = stream::iter(wanted.to_vec()).map(|permission| {
            let answer = may(permission.clone());
            async move { Ok::<_, kube::Error>((!answer.await?).then_some(permission)) }
        });
        let lacking: Vec<Option<Permission>> = answers.buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(lacking.into_iter().flatten().collect())
    }

    async fn account_may(&self, names: &Names, permission: Permission) -> kube::Result<bool> {
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let namespace = &names.namespace;
        let groups = ["system:serviceaccounts", "system:authenticated"].map(str::to_owned);
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{}", permission.account)),
                groups: Some(groups.into_iter().chain([format!("system:serviceaccounts:{namespace}")]).collect()),
                resource_attributes: Some(attributes(permission)),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn may(&self, permission: Permission) -> kube::Result<bool> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes(permission)),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Who asks, as the API server sees it.
    async fn who(&self) -> String {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = answer.ok().and_then(|answer| answer.status?.user_info?.username);
        user.unwrap_or_else(|| "?".to_owned())
    }
}

fn attributes(permission: Permission) -> ResourceAttributes {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    ResourceAttributes {
        verb: Some(permission.verb.to_owned()),
        group: Some(permission.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        name: permission.name,
        namespace: permission.namespace,
        ..ResourceAttributes::default()
    }
}

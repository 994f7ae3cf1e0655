//! Kubernetes objects reduced to what the controller reads. Deserialised from
//! the API server's answers, so that no watch keeps what nobody asks for.

pub mod certificate;
pub mod certificate_request;
pub mod gateway;
pub mod ingress;
pub mod issuance;
pub mod issuer;
pub mod metadata;
pub mod route;
pub mod whole;

/// Implements [`kube::Resource`] for a reduced object.
macro_rules! resource {
    ($type:ty, $kind:literal, $plural:literal, $scope:ty, $group:literal, $version:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &kube::api::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut kube::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(super) use resource;

/// In an `impl` of [`kube::Resource`]: the kind is called as another one is.
macro_rules! named_like {
    ($kind:ty) => {
        fn kind((): &()) -> std::borrow::Cow<'_, str> {
            <$kind>::kind(&())
        }
        fn group((): &()) -> std::borrow::Cow<'_, str> {
            <$kind>::group(&())
        }
        fn version((): &()) -> std::borrow::Cow<'_, str> {
            <$kind>::version(&())
        }
        fn plural((): &()) -> std::borrow::Cow<'_, str> {
            <$kind>::plural(&())
        }
    };
}
pub(super) use named_like;

/// The same for one of cert-manager's groups.
macro_rules! cert_manager_resource {
    ($type:ty, $kind:literal, $plural:literal, $scope:ty) => {
        $crate::api::partial::cert_manager_resource!($type, $kind, $plural, $scope, "cert-manager.io");
    };
    ($type:ty, $kind:literal, $plural:literal, $scope:ty, $group:literal) => {
        $crate::api::partial::resource!($type, $kind, $plural, $scope, $group, "v1");
    };
}
use cert_manager_resource;

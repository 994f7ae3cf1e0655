//! The way to the API server.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::apiserver;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file is missing, unreadable or no kubeconfig.
    #[error("--kubeconfig {}: {source}; give a readable kubeconfig file", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a pod's account.
    #[error("no way to the cluster: {0}; give --kubeconfig, set KUBECONFIG, or run in a pod with a ServiceAccount")]
    Infer(#[from] kube::config::InferConfigError),
    /// The configuration makes no client.
    #[error("the kubeconfig is unusable: {0}")]
    Client(#[from] kube::Error),
}

/// A client by the file given, else by what the environment offers.
///
/// # Errors
/// No usable configuration. Whether the API server answers is not tried.
pub async fn client(file: Option<&Path>) -> Result<Client, KubeconfigError> {
    Ok(apiserver::client(config(file).await?, None)?)
}

/// The same, that waits so long for an answer where that is more than usual.
///
/// # Errors
/// No usable configuration.
pub async fn patient_client(file: Option<&Path>, patience: Duration) -> Result<Client, KubeconfigError> {
    Ok(apiserver::client(config(file).await?, Some(patience))?)
}

async fn config(file: Option<&Path>) -> Result<Config, KubeconfigError> {
    Ok(match file {
        Some(path) => {
            let wrong = |source| KubeconfigError::File { path: path.to_owned(), source };
            let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(wrong)?
        }
        None => Config::infer().await?,
    })
}

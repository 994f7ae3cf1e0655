//! What a browser would ask the lab's gateway.

use std::net::SocketAddr;

use anyhow::Result;

use super::Lab;
use crate::fetch::{Fetched, Trust, fetch};

/// `host/path` or `host` alone.
fn split(url: &str) -> (&str, &str) {
    match url.find('/') {
        Some(at) => url.split_at(at),
        None => (url, "/"),
    }
}

impl Lab {
    /// GETs `https://host[/path]` from the lab's gateway, whatever DNS says of the host. The certificate has to verify for
    /// the host against Pebble's root.
    pub async fn https_get(&self, url: &str) -> Result<Fetched> {
        let trust = Trust::roots(&self.pebble().root_pem().await?)?;
        let (host, path) = split(url);
        fetch(self.site().socket(443), host, path, Some(&trust), &[]).await
    }

    /// GETs `http://host[/path]` from the lab's gateway, whatever DNS says of the host.
    pub async fn http_get(&self, url: &str) -> Result<Fetched> {
        let (host, path) = split(url);
        fetch(self.site().socket(80), host, path, None, &[]).await
    }

    /// GETs `http://address/path`, such as a replica's metrics.
    pub async fn http_get_from(&self, address: SocketAddr, path: &str) -> Result<Fetched> {
        fetch(address, &address.ip().to_string(), path, None, &[]).await
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn urls_are_split() {
        assert_eq!(split("a.test"), ("a.test", "/"));
        assert_eq!(split("a.test/x/y?z"), ("a.test", "/x/y?z"));
    }
}

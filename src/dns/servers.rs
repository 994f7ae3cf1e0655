//! Which recursive resolvers are asked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Where the system names its resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The most resolvers that are used.
const MAX_SERVERS: usize = 16;

/// Why no resolvers are known.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// An entry of `dns.servers` is no address.
    #[error(
        "dns.servers: {0:?} is no address; write an IP address, with a port if it is not 53: 9.9.9.9 or [2620:fe::fe]:53"
    )]
    Address(String),
    /// `/etc/resolv.conf` cannot be read.
    #[error("dns.servers is empty and {path} cannot be read: {source}; name the resolvers in dns.servers")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `/etc/resolv.conf` cannot be understood.
    #[error("dns.servers is empty and {path} is malformed: {source}; name the resolvers in dns.servers")]
    Parse {
        /// The file.
        path: PathBuf,
        /// In what respect.
        source: resolv_conf::ParseError,
    },
    /// `/etc/resolv.conf` names none.
    #[error("dns.servers is empty and {0} names no nameserver; name the resolvers in dns.servers")]
    None(PathBuf),
}

/// The resolvers that policy names, or the system's.
pub(super) fn resolvers(named: &[String]) -> Result<Vec<SocketAddr>, ServersError> {
    if named.is_empty() {
        return system(Path::new(RESOLV_CONF));
    }
    named
        .iter()
        .take(MAX_SERVERS)
        .map(|text| parse_server(text, 53).ok_or_else(|| ServersError::Address(text.clone())))
        .collect()
}

/// Reads `address`, `address:port` or `[address]:port`.
pub fn parse_server(text: &str, default_port: u16) -> Option<SocketAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, default_port))
        .or_else(|_| text.parse::<SocketAddr>())
        .ok()
        .filter(|server| server.port() != 0)
}

fn system(path: &Path) -> Result<Vec<SocketAddr>, ServersError> {
    let text = std::fs::read(path).map_err(|source| ServersError::Read { path: path.to_owned(), source })?;
    let config =
        resolv_conf::Config::parse(text).map_err(|source| ServersError::Parse { path: path.to_owned(), source })?;
    let servers: Vec<SocketAddr> =
        config.nameservers.iter().take(MAX_SERVERS).map(|ip| SocketAddr::new(ip.into(), 53)).collect();
    if servers.is_empty() { Err(ServersError::None(path.to_owned())) } else { Ok(servers) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("9.9.9.9", Some("9.9.9.9:53"))]
    #[case("127.0.0.1:5353", Some("127.0.0.1:5353"))]
    #[case("2620:fe::fe", Some("[2620:fe::fe]:53"))]
    #[case("[2620:fe::fe]", Some("[2620:fe::fe]:53"))]
    #[case("[2620:fe::fe]:5353", Some("[2620:fe::fe]:5353"))]
    #[case("dns.example.com", None)]
    #[case("9.9.9.9:0", None)]
    #[case("9.9.9.9:99999", None)]
    #[case("", None)]
    fn servers_are_addresses(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse_server(text, 53).map(|server| server.to_string()).as_deref(), expected);
    }

    #[test]
    fn the_system_file_is_read_for_its_nameservers_alone() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "search default.svc.cluster.local\noptions ndots:5\nnameserver 10.96.0.10\nnameserver fd00::a")
            .unwrap();
        let servers = system(file.path()).unwrap();
        assert_eq!(servers, ["10.96.0.10:53".parse().unwrap(), "[fd00::a]:53".parse().unwrap()]);
        assert!(matches!(system(tempfile::NamedTempFile::new().unwrap().path()), Err(ServersError::None(_))));
        assert!(matches!(system(Path::new("/nonexistent/resolv.conf")), Err(ServersError::Read { .. })));
    }
}

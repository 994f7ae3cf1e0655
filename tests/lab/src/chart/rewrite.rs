//! Arguments and environment of a container, as a process on a shared machine can have them.

use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What a value is rewritten for.
#[derive(Clone, Debug)]
pub(super) struct Rewriter {
    pub(super) ip: Ipv4Addr,
    /// Mount paths and what stands for them.
    pub(super) mounts: Vec<(String, PathBuf)>,
}

impl Rewriter {
    /// Rewrites an argument: all of it, or what follows the `=` of a flag.
    pub(super) fn argument(&self, argument: &str) -> String {
        match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => format!("{flag}={}", self.value(value)),
            _ => self.value(argument),
        }
    }

    /// Rewrites a value that is a listen address or a path below a mount.
    pub(super) fn value(&self, value: &str) -> String {
        if let Some(port) = listen_port(value) {
            return format!("{}:{port}", self.ip);
        }
        let mounted = self.mounts.iter().filter_map(|(mount, directory)| {
            let rest = value.strip_prefix(mount.as_str())?;
            let target = match rest.strip_prefix('/') {
                Some(rest) => directory.join(rest),
                None if rest.is_empty() => directory.clone(),
                None => return None,
            };
            Some((mount.len(), target))
        });
        // The innermost of nested mounts.
        match mounted.max_by_key(|(length, _)| *length) {
            Some((_, target)) => target.display().to_string(),
            None => value.to_owned(),
        }
    }
}

/// The port of an address that means every interface.
fn listen_port(value: &str) -> Option<u16> {
    ["0.0.0.0:", "[::]:", ":"].into_iter().find_map(|any| value.strip_prefix(any)?.parse().ok())
}

/// Expands `$(NAME)` as Kubernetes does: an unknown name stays as it is, `$$` is a dollar sign.
pub(super) fn expand(text: &str, environment: &[(String, String)]) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let known = reference
            .and_then(|(name, after)| environment.iter().rev().find(|(n, _)| n == name).map(|(_, v)| (v, after)));
        match known {
            Some((value, after)) => {
                expanded.push_str(value);
                rest = after;
            }
            None => {
                expanded.push('$');
                rest = after;
            }
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_rewritten() {
        let rewriter = Rewriter {
            ip: Ipv4Addr::new(127, 50, 9, 10),
            mounts: vec![("/etc/app".into(), "/lab/app".into()), ("/etc/app/tls".into(), "/lab/tls".into())],
        };
        let cases = [
            ("--listen=0.0.0.0:8443", "--listen=127.50.9.10:8443"),
            ("--listen=[::]:8443", "--listen=127.50.9.10:8443"),
            (":9090", "127.50.9.10:9090"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("--policy=/etc/app/policy.yaml", "--policy=/lab/app/policy.yaml"),
            ("/etc/app/tls/tls.crt", "/lab/tls/tls.crt"),
            ("/etc/app", "/lab/app"),
            ("/etc/apple/x", "/etc/apple/x"),
            ("a=:80", "a=:80"),
            ("--level=info", "--level=info"),
        ];
        for (argument, expected) in cases {
            assert_eq!(rewriter.argument(argument), expected);
        }
    }

    #[test]
    fn references_are_expanded() {
        let environment = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, expected) in [("x$(A)y", "x1y"), ("$(B)", "$(A)"), ("$$(A)", "$(A)"), ("$(C)$", "$(C)$")] {
            assert_eq!(expand(text, &environment), expected);
        }
    }
}

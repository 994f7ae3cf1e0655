//! How many file descriptors this process may have.

/// The limit in force (`RLIMIT_NOFILE`); `None` where it is not known or there is none.
///
/// Some container runtimes start programs with 1,024, which is less than the connections that a webhook has room for.
pub fn limit() -> Option<usize> {
    read(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// Reads proc(5)'s text.
fn read(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             unlimited            unlimited            processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(read(text), Some(1024));
        assert_eq!(read(&text.replace("1024  ", "unlimited")), None);
        assert_eq!(read(""), None);
    }
}

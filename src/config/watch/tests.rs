use std::{fs, os::unix::fs::symlink, path::Path};

use tokio::sync::mpsc;

use prometheus_client::registry::Registry;

use super::*;
use crate::{config::metrics::PolicyMetrics, core::policy::AutoIssue};

const SOON: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_millis(5);

/// A policy file under watch.
struct Watched {
    policy: watch::Receiver<Arc<Policy>>,
    registry: Registry,
    reports: mpsc::UnboundedReceiver<Result<(), String>>,
}

fn follow(path: &Path) -> Watched {
    let (sender, reports) = mpsc::unbounded_channel();
    let mut registry = Registry::default();
    let metrics = PolicyMetrics::register(&mut registry);
    let (policy, follow) = watch(path.to_owned(), OFTEN, move |reload| {
        metrics.count(&reload);
        let _ = sender.send(match reload {
            Reload::Loaded(_) => Ok(()),
            Reload::Rejected(error) => Err(error.to_string()),
        });
    })
    .unwrap();
    tokio::spawn(follow);
    Watched { policy, registry, reports }
}

impl Watched {
    async fn report(&mut self) -> Result<(), String> {
        tokio::time::timeout(SOON, self.reports.recv()).await.expect("a report in time").expect("a report")
    }

    /// Changes taken over, changes refused, and whether the last one was.
    fn counted(&self) -> [u64; 3] {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
        [
            value("certgate_policy_reloads_total{outcome=\"loaded\"}"),
            value("certgate_policy_reloads_total{outcome=\"rejected\"}"),
            value("certgate_policy_rejected"),
        ]
    }

    fn auto_issue(&self) -> AutoIssue {
        self.policy.borrow().auto_issue
    }
}

#[tokio::test]
async fn an_edit_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "autoIssue: annotated\n").unwrap();
    let mut watched = follow(&path);
    assert_eq!(watched.auto_issue(), AutoIssue::Annotated);
    fs::write(&path, "autoIssue: all\n").unwrap();
    watched.report().await.unwrap();
    assert_eq!(watched.auto_issue(), AutoIssue::All);
}

#[tokio::test]
async fn an_unusable_edit_is_reported_once_and_leaves_the_policy_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "autoIssue: all\n").unwrap();
    let mut watched = follow(&path);
    fs::write(&path, "autoIsue: annotated\n").unwrap();
    let told = watched.report().await.unwrap_err();
    assert!(told.ends_with("1:1: unknown field `autoIsue`; did you mean `autoIssue`?"), "{told}");
    assert_eq!(watched.auto_issue(), AutoIssue::All);
    assert_eq!(watched.counted(), [0, 1, 1]);
    fs::remove_file(&path).unwrap();
    // The next report is of the removal: the fault before it was told only once.
    let told = watched.report().await.unwrap_err();
    assert!(told.contains("cannot be read"), "{told}");
    assert_eq!(watched.auto_issue(), AutoIssue::All);
    fs::write(&path, "autoIssue: annotated\n").unwrap();
    watched.report().await.unwrap();
    assert_eq!(watched.auto_issue(), AutoIssue::Annotated);
    assert_eq!(watched.counted(), [1, 2, 0]);
}

#[tokio::test]
async fn each_of_several_config_map_updates_is_taken_over() {
    // As the kubelet lays it out: policy.yaml → ..data/policy.yaml, ..data → a folder named by time.
    let dir = tempfile::tempdir().unwrap();
    let publish = |version: usize, text: &str| {
        let folder = format!("..{version}");
        fs::create_dir(dir.path().join(&folder)).unwrap();
        fs::write(dir.path().join(&folder).join("policy.yaml"), text).unwrap();
        symlink(&folder, dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    };
    publish(0, "autoIssue: annotated\n");
    let path = dir.path().join("policy.yaml");
    symlink("..data/policy.yaml", &path).unwrap();
    let mut watched = follow(&path);
    for version in 1..=4 {
        let (word, expected) =
            if version % 2 == 1 { ("all", AutoIssue::All) } else { ("annotated", AutoIssue::Annotated) };
        publish(version, &format!("autoIssue: {word}\n"));
        fs::remove_dir_all(dir.path().join(format!("..{}", version - 1))).unwrap();
        // Between two looks a folder may be gone; what counts is the state in the end.
        while watched.auto_issue() != expected {
            let _ = watched.report().await;
        }
    }
}

#[tokio::test]
async fn a_file_that_is_unusable_at_the_start_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(watch(dir.path().join("policy.yaml"), OFTEN, |_| {}).is_err());
}

#[tokio::test]
async fn the_watch_ends_with_its_last_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.yaml");
    fs::write(&path, "").unwrap();
    let (policy, follow) = watch(path, Duration::from_secs(3600), |_| {}).unwrap();
    let task = tokio::spawn(follow);
    drop(policy);
    tokio::time::timeout(SOON, task).await.expect("in time").unwrap();
}

use std::collections::BTreeSet;

use tokio::time::{Instant, timeout};

use super::*;
use crate::core::{finding::Finding, reason::Reason};

/// Hosts below `dead` names are silent: for a second where the look is short, for fifteen where it is long.
#[derive(Clone)]
struct Scripted;

impl Preflight for Scripted {
    async fn look(&self, asker: &Asker, request: &Request) -> Looked {
        let host = request.host.as_str();
        let servers = host.contains("outage").then(|| Arc::from("dns.example"));
        if !host.contains("dead") {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Looked { verdict: Some(verdict(Reason::Verified)), silent: false, servers };
        }
        match asker.lane {
            Lane::Quick => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Looked { verdict: None, silent: true, servers: None }
            }
            Lane::Slow => {
                tokio::time::sleep(Duration::from_secs(15)).await;
                Looked { verdict: Some(verdict(Reason::DnsTimeout)), silent: true, servers: None }
            }
        }
    }

    fn width(&self) -> usize {
        32
    }
}

fn verdict(reason: Reason) -> Verdict {
    Verdict {
        finding: Finding::new(reason, "h"),
        warnings: Vec::new(),
        checks: Vec::new(),
        next_check: Duration::from_secs(60),
        validity: Duration::ZERO,
    }
}

/// Notes what was answered and when, and waits for no host that is on the list.
struct Notes {
    tell: mpsc::UnboundedSender<(String, Reason, bool)>,
    gone: Mutex<BTreeSet<String>>,
    abandoned: Mutex<Vec<String>>,
}

impl Awaits for Notes {
    fn awaits(&self, job: &Job) -> bool {
        !self.gone.lock().unwrap().contains(job.host.as_str())
    }
    fn answered(&self, job: Job, verdict: Verdict, _: Timestamp) {
        self.tell.unbounded_send((job.host.to_string(), verdict.finding.reason, job.slow)).unwrap();
    }
    fn abandoned(&self, job: Job) {
        self.abandoned.lock().unwrap().push(job.host.to_string());
    }
}

struct Desked {
    ask: mpsc::UnboundedSender<Job>,
    answers: mpsc::UnboundedReceiver<(String, Reason, bool)>,
    notes: Arc<Notes>,
}

fn desk() -> Desked {
    let (ask, questions) = mpsc::unbounded();
    let (tell, answers) = mpsc::unbounded();
    let notes = Arc::new(Notes { tell, gone: Mutex::default(), abandoned: Mutex::default() });
    tokio::spawn(answer(questions, Scripted, notes.clone()));
    Desked { ask, answers, notes }
}

impl Desked {
    fn ask(&self, namespace: &str, host: &str, slow: bool) {
        self.ask.unbounded_send(Job::about(namespace, host, slow)).unwrap();
    }

    /// How long until a host is answered, others passed over.
    async fn until(&mut self, host: &str) -> Duration {
        let begun = Instant::now();
        let found = async {
            while let Some((answered, ..)) = self.answers.next().await {
                if answered == host {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(7200), found).await.unwrap();
        begun.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_dead_hosts_of_one_tenant_hold_up_nobody_elses() {
    let mut desk = desk();
    for n in 0..2000 {
        desk.ask("hostile", &format!("www.dead{n}.example"), false);
    }
    for round in 0..20 {
        tokio::time::sleep(Duration::from_secs(7)).await;
        let host = format!("good{round}.example.com");
        desk.ask("team", &host, false);
        assert_eq!(desk.until(&host).await, Duration::from_millis(50), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_an_outage_that_hits_many_tenants() {
    let mut desk = desk();
    // Nobody knows yet whose servers these are.
    for n in 0..2000 {
        desk.ask(&format!("team-{}", n % 100), &format!("www.dead{n}.example"), false);
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let mut waits = Vec::new();
    for round in 0..10 {
        let host = format!("good{round}.example.com");
        desk.ask(&format!("new-{round}"), &host, false);
        waits.push(desk.until(&host).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // At worst a hundred tenants come before it, one host of each, in a lane of 32 that a dead host leaves after a second.
    assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(4050)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn where_it_is_known_whose_servers_they_are_an_outage_leaves_half_of_the_lane() {
    let mut desk = desk();
    for n in 0..400 {
        desk.ask("team", &format!("www.outage{n}.example"), false);
    }
    for n in 0..400 {
        desk.until(&format!("www.outage{n}.example")).now_or_never();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for n in 0..400 {
        desk.ask(&format!("team-{}", n % 200), &format!("dead.outage{n}.example"), false);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.ask("new", "good.example.com", false);
    assert_eq!(desk.until("good.example.com").await, Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_answered_after_a_long_look_and_looked_at_long_the_next_time() {
    let mut desk = desk();
    desk.ask("team", "www.dead.example", false);
    let begun = Instant::now();
    let answered = desk.answers.next().await.unwrap();
    assert_eq!(answered, ("www.dead.example".to_owned(), Reason::DnsTimeout, true));
    assert_eq!(begun.elapsed(), Duration::from_secs(16));
    desk.ask("team", "www.dead.example", true);
    desk.answers.next().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_looked_at_and_not_kept() {
    let desk = desk();
    for n in 0..100 {
        desk.ask("team", &format!("www.dead{n}.example"), true);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    desk.notes.gone.lock().unwrap().extend((0..100).map(|n| format!("www.dead{n}.example")));
    tokio::time::sleep(Duration::from_secs(100)).await;
    // Two were under way, and answered.
    assert_eq!(desk.notes.abandoned.lock().unwrap().len(), 98);
}

#[tokio::test(start_paused = true)]
async fn a_newer_question_about_a_host_takes_the_place_of_the_older() {
    let mut desk = desk();
    for n in 0..50 {
        desk.ask("team", &format!("www.dead{n}.example"), true);
    }
    desk.ask("team", "www.mended.example", true);
    desk.ask("team", "www.mended.example", false);
    assert_eq!(desk.until("www.mended.example").await, Duration::from_millis(50), "it need not wait its long turn");
    let again = async { while desk.answers.next().await.is_some_and(|(host, ..)| host != "www.mended.example") {} };
    assert!(timeout(Duration::from_secs(3600), again).await.is_err(), "and is answered once");
}

//! x
use certgate_lab::*;
#[tokio::test]
async fn zz() -> anyhow::Result<()> {
    let lab = Lab::start(LabOptions::bare()).await?;
    let pid = lab.processes().pid("kube-apiserver").unwrap();
    let st = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let f: Vec<&str> = st.split(' ').collect();
    let rss = std::fs::read_to_string(format!("/proc/{pid}/status"))?
        .lines()
        .find(|l| l.starts_with("VmRSS"))
        .unwrap()
        .to_owned();
    eprintln!("utime {} stime {} {rss}", f[13], f[14]);
    Ok(())
}

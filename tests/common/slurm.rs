//! A Slurm of its own on loopback, with one node, for a test process: munged, slurmctld and slurmd, without cgroups and
//! without accounting.

use super::needs;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Programs of the packages slurmctld, slurmd, slurm-client and munge.
const PROGRAMS: [&str; 6] = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol"];

/// The cluster; its daemons end with it.
pub struct Slurm {
    folder: tempfile::TempDir,
    daemons: Vec<(&'static str, Child)>,
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// Ports that nobody listens on now.
fn ports() -> [u16; 2] {
    let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap().port())
}

impl Slurm {
    /// Starts a cluster, whose jobs run as the user of this process and whose arrays have four tasks at most; `None`
    /// where Slurm is not installed, which is said.
    ///
    /// # Panics
    /// Where it does not start; and as [`needs::skip`].
    #[track_caller]
    pub fn start() -> Option<Self> {
        if !PROGRAMS.iter().all(|program| is_there(program)) {
            needs::skip("no Slurm", "install it (`apt install slurmctld slurmd slurm-client munge`)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ["state", "spool", "munge"].iter().for_each(|name| std::fs::create_dir(at(name)).unwrap());
        // The daemons want no folder that others may write to.
        let key = std::fs::read("/proc/sys/kernel/random/uuid").unwrap().repeat(4);
        OpenOptions::new().create_new(true).write(true).mode(0o400).open(at("key")).unwrap().write_all(&key).unwrap();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let (host, [control, node]) = (host.trim().split('.').next().unwrap(), ports());
        let place = folder.path().display();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let user = user.trim();
        let config = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={control}\nSlurmdPort={node}\n\
             AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={place}/munge/socket,cred_expire=5\n\
             SlurmUser={user}\nSlurmdUser={user}\nStateSaveLocation={place}/state\nSlurmdSpoolDir={place}/spool\n\
             SlurmctldPidFile={place}/slurmctld.pid\nSlurmdPidFile={place}/slurmd.pid\n\
             SlurmctldLogFile={place}/slurmctld.log\nSlurmdLogFile={place}/slurmd.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nMpiDefault=none\nSwitchType=switch/none\n\
             ReturnToService=2\nMaxArraySize=4\nSlurmctldTimeout=10\nSlurmdTimeout=6\nKillWait=10\nInactiveLimit=0\nMinJobAge=300\n\
             SchedulerType=sched/builtin\n\
             SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,default_queue_depth=100\n\
             SlurmdParameters=config_overrides\nJobRequeue=1\n\
             NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs=4 RealMemory=8000 State=UNKNOWN\n\
             PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n\
             PartitionName=main Nodes=n1 Default=YES MaxTime=INFINITE PriorityTier=1 State=UP\n\
             PartitionName=urgent Nodes=n1 MaxTime=INFINITE PriorityTier=2 State=UP\n"
        );
        std::fs::write(at("slurm.conf"), config).unwrap();
        let mut slurm = Self { folder, daemons: Vec::new() };
        slurm.munged();
        slurm.daemon("slurmctld");
        slurm.wait("the controller", || slurm.client("scontrol", &["ping"]).is_some_and(|said| said.contains("UP")));
        slurm.slurmd();
        Some(slurm)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration, which `SLURM_CONF` names to every program.
    pub fn config(&self) -> PathBuf {
        self.at("slurm.conf")
    }

    fn spawn(&mut self, name: &'static str, command: &mut Command) {
        let output = std::fs::File::create(self.at(&format!("{name}.out"))).unwrap();
        let second = output.try_clone().unwrap();
        let path = format!("{}:/usr/sbin:/usr/bin", std::env::var("PATH").unwrap_or_default());
        let child = command.env("PATH", path).stdin(Stdio::null()).stdout(output).stderr(second).spawn().unwrap();
        self.daemons.push((name, child));
    }

    fn munged(&mut self) {
        let munge = |name: &str| self.at("munge").join(name).display().to_string();
        let key = self.at("key").display().to_string();
        let options = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={key}"),
            format!("--socket={}", munge("socket")),
            format!("--pid-file={}", munge("pid")),
            format!("--log-file={}", munge("log")),
            format!("--seed-file={}", munge("seed")),
        ];
        self.spawn("munged", Command::new("munged").args(options));
        let socket = self.at("munge/socket");
        self.wait("munged", || socket.exists());
    }

    fn daemon(&mut self, name: &'static str) {
        let mut command = Command::new(name);
        command.arg("-D").arg("-f").arg(self.config()).env("SLURM_CONF", self.config());
        if name == "slurmd" {
            command.args(["-N", "n1"]);
        }
        self.spawn(name, &mut command);
    }

    /// Starts the node, also again.
    pub fn slurmd(&mut self) {
        self.daemon("slurmd");
        self.wait("the node", || {
            let said = self.client("sinfo", &["--noheader", "--format=%T", "--partition=main"]);
            // After a failure, a job that waited may be there already.
            said.is_some_and(|said| ["idle", "mixed"].contains(&said.trim()))
        });
    }

    /// The node fails: its daemon is killed with all that it has started.
    pub fn kill_node(&mut self) {
        let at = self.daemons.iter().position(|(name, _)| *name == "slurmd").unwrap();
        let (_, mut daemon) = self.daemons.remove(at);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        self.kill_jobs();
    }

    /// Kills what jobs have left: the processes that have a job and the configuration of this cluster in their
    /// environment, after the step daemons that they belong to.
    fn kill_jobs(&self) {
        let ours = format!("SLURM_CONF={}", self.config().display());
        let read = |id: i32, file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let mut jobs = Vec::new();
        for id in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(id) = id.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let environment = read(id, "environ");
            let has = |wanted: &dyn Fn(&str) -> bool| environment.split('\0').any(wanted);
            if has(&|entry| entry == ours) && has(&|entry| entry.starts_with("SLURM_JOB_ID=")) {
                jobs.push(id);
            }
        }
        let parent =
            |id: &i32| read(*id, "status").lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        let steps: Vec<i32> = jobs.iter().filter_map(parent).collect();
        let steps = steps.into_iter().filter(|id| read(*id, "comm").starts_with("slurmstepd"));
        for id in steps.chain(jobs.iter().copied()).filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    }

    /// A program of Slurm.
    fn output(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).args(arguments).env("SLURM_CONF", self.config()).output().unwrap()
    }

    /// What a program of Slurm says; `None` where it fails.
    fn client(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = self.output(program, arguments);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// What a program of Slurm says.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until `there` holds.
    ///
    /// # Panics
    /// Where that takes longer than a minute and a half.
    #[track_caller]
    pub fn wait(&self, what: &str, there: impl Fn() -> bool) {
        let began = Instant::now();
        while !there() {
            if began.elapsed() > Duration::from_secs(90) {
                let end = |name: &str| {
                    let text = std::fs::read_to_string(self.at(name)).unwrap_or_default();
                    let lines: Vec<&str> = text.lines().collect();
                    lines[lines.len().saturating_sub(30)..].join("\n")
                };
                let logs = ["slurmctld.log", "slurmd.log", "slurmctld.out", "slurmd.out", "munged.out"];
                let logs: String = logs.iter().map(|name| format!("\n{name}:\n{}", end(name))).collect();
                panic!("{what} did not come:{logs}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for (_, daemon) in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        self.kill_jobs();
    }
}

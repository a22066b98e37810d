//! Real `longhaul` processes on loopback, for whole-peer tests.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a federation may take to end after its last epoch.
const END_MAX: Duration = Duration::from_secs(120);

/// What a test federation is like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Number of peers.
    pub peers: usize,
    /// Number of epochs.
    pub epochs: u32,
    /// Length of an epoch in milliseconds.
    pub epoch_ms: u64,
}

/// Peers that share a folder of their own.
pub struct Federation {
    root: PathBuf,
    ids: Vec<String>,
    addresses: Vec<String>,
    running: Vec<Option<Child>>,
}

/// Runs `longhaul` with `args` to its end.
pub fn longhaul(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Runs `longhaul`, which must succeed, and returns its stdout.
pub fn longhaul_ok(args: &[&str]) -> String {
    let output = longhaul(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "longhaul {args:?} failed:\n{out}\n{err}");
    out
}

/// Bytes a program printed, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// A fresh folder for one test.
pub fn fresh_dir(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("longhaul-test-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).expect("a temporary folder can be made");
    root
}

impl Federation {
    /// Makes keys, manifest and data directories; starts nothing.
    pub fn new(name: &str, plan: Plan) -> Self {
        Self::made(name, plan, None)
    }

    /// The same of a private federation, the last `couriers` of whose peers carry what they can't read.
    pub fn private(name: &str, plan: Plan, couriers: usize) -> Self {
        Self::made(name, plan, Some(couriers))
    }

    fn made(name: &str, plan: Plan, private: Option<usize>) -> Self {
        let (epochs, epoch_ms) = (plan.epochs.to_string(), plan.epoch_ms.to_string());
        let make = |dir: &Path, ids: &[String], file: &Path| {
            let mut args = vec!["manifest", "new", "--dir", arg(dir), "--out", arg(file)];
            args.extend(["--epochs", &epochs, "--epoch-ms", &epoch_ms, "--quorum", "2"]);
            args.extend(["--start-in-ms", "2000", "--steps", "2"]);
            let (members, couriers) = ids.split_at(plan.peers - private.unwrap_or_default());
            members.iter().for_each(|id| args.extend(["--member", id]));
            couriers.iter().for_each(|id| args.extend(["--courier", id]));
            if private.is_some() {
                args.push("--private");
            }
            longhaul_ok(&args);
        };
        Self::under(name, plan.peers, make, &[])
    }

    /// Peers under a manifest that `make` writes: from the creator's data directory and the ids of all, into a file. `join` has
    /// further arguments with which they join.
    pub fn under(
        name: &str,
        peers: usize,
        make: impl FnOnce(&Path, &[String], &Path),
        join: &[&str],
    ) -> Self {
        let root = fresh_dir(name);
        let dirs: Vec<PathBuf> = (0..peers).map(|index| root.join(index.to_string())).collect();
        let ids: Vec<String> =
            dirs.iter().map(|dir| longhaul_ok(&["init", arg(dir)]).trim().to_owned()).collect();
        let file = root.join("test.manifest");
        make(&dirs[0], &ids, &file);
        for dir in &dirs {
            longhaul_ok(&[&["join", arg(&file), "--dir", arg(dir)], join].concat());
            switch_mdns_off(dir);
        }
        let listeners: Vec<TcpListener> = (0..peers)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
            .collect();
        let addresses = listeners
            .iter()
            .map(|it| format!("/ip4/127.0.0.1/tcp/{}", it.local_addr().expect("bound").port()))
            .collect();
        let running = (0..peers).map(|_| None).collect();
        Self { root, ids, addresses, running }
    }

    /// The id of a peer.
    pub fn id(&self, index: usize) -> &str {
        &self.ids[index]
    }

    /// The data directory of a peer.
    pub fn dir(&self, index: usize) -> PathBuf {
        self.root.join(index.to_string())
    }

    /// Starts a peer; it ends by itself once it is drained.
    pub fn start(&mut self, index: usize) {
        let log = self.log_file(index);
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(["up", "--until-drained", "--dir"]).arg(self.dir(index));
        command.args(["--listen", &self.addresses[index]]);
        for (other, address) in self.addresses.iter().enumerate().filter(|(it, _)| *it != index) {
            command.args(["--peer", &format!("{}@{address}", self.ids[other])]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running[index] = Some(command.spawn().expect("the peer starts"));
    }

    /// Starts a peer that knows where `to` listens and nobody else, and goes on until it is killed or,
    /// with `drained`, has nothing left to do.
    pub fn start_to(&mut self, index: usize, to: &[usize], drained: bool) {
        let log = self.log_file(index);
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(["up", "--listen", &self.addresses[index], "--dir"]).arg(self.dir(index));
        if drained {
            command.arg("--until-drained");
        }
        for &other in to {
            let peer = format!("{}@{}", self.ids[other], self.addresses[other]);
            command.args(["--peer", &peer]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running[index] = Some(command.spawn().expect("the peer starts"));
    }

    /// Where the federation's files are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Starts a peer that knows no address of another; it ends once it is drained.
    pub fn start_alone(&mut self, index: usize, args: &[&str]) {
        let log = self.log_file(index);
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(["up", "--until-drained", "--listen", "/ip4/127.0.0.1/tcp/0", "--dir"]);
        command.arg(self.dir(index)).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running[index] = Some(command.spawn().expect("the peer starts"));
    }

    fn log_file(&self, index: usize) -> std::fs::File {
        let path = self.root.join(format!("{index}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
        log.expect("a log file can be made")
    }

    /// Where a peer that was started listens.
    pub fn address(&self, index: usize) -> longhaul_node::shell::net::PeerAddress {
        let text = format!("{}@{}", self.ids[index], self.addresses[index]);
        text.parse().expect("an address of our own")
    }

    /// The number of a running peer's process.
    pub fn process(&self, index: usize) -> u32 {
        self.running[index].as_ref().expect("the peer runs").id()
    }

    /// The report that a running peer wrote last, if it has written one.
    pub fn status_now(&self, index: usize) -> Option<Value> {
        let text = std::fs::read_to_string(self.dir(index).join("status.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Kills a peer with SIGKILL, wherever it is.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.running[index].take().expect("the peer runs");
        child.kill().expect("the peer can be killed");
        child.wait().expect("the peer is gone");
    }

    /// Asks a peer to end, and waits until it has.
    pub fn stop(&mut self, index: usize) {
        let process = self.process(index).to_string();
        let asked = Command::new("kill").args(["-TERM", &process]).status();
        assert!(asked.expect("the command is there").success());
        self.wait_for(&[index]);
    }

    /// Waits until the newest report of a running peer is as wanted.
    #[expect(clippy::disallowed_methods, reason = "real processes report in real time")]
    pub fn until(&self, index: usize, wanted: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        while !self.status_now(index).is_some_and(|report| wanted(&report)) {
            assert!(
                start.elapsed() < END_MAX,
                "peer {index} does not get there:\n{}",
                self.log(index)
            );
            pause(Duration::from_millis(50));
        }
    }

    /// Waits until every running peer has ended by itself.
    pub fn wait(&mut self) {
        let all: Vec<usize> = (0..self.running.len()).collect();
        self.wait_for(&all);
    }

    /// Waits until these peers have ended by themselves.
    #[expect(clippy::disallowed_methods, reason = "real processes end in real time")]
    pub fn wait_for(&mut self, peers: &[usize]) {
        let start = Instant::now();
        for &index in peers {
            let Some(mut child) = self.running[index].take() else { continue };
            let status = loop {
                if let Some(status) = child.try_wait().expect("the peer can be waited for") {
                    break status;
                }
                assert!(
                    start.elapsed() < END_MAX,
                    "peer {index} does not end:\n{}",
                    self.log(index)
                );
                pause(Duration::from_millis(50));
            };
            assert!(status.success(), "peer {index} failed:\n{}", self.log(index));
        }
    }

    /// What a peer logged.
    pub fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.root.join(format!("{index}.log"))).unwrap_or_default()
    }

    /// A peer's report.
    pub fn status(&self, index: usize) -> Value {
        let dir = self.dir(index);
        let out = longhaul_ok(&["status", "--json", "--dir", arg(&dir)]);
        serde_json::from_str(&out).expect("the report is JSON")
    }

    /// Removes the folder; a failed test keeps it.
    pub fn remove(self) {
        std::fs::remove_dir_all(&self.root).expect("the folder can be removed");
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Lets real time pass while processes run.
#[expect(clippy::disallowed_methods, reason = "real processes need real time")]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

fn switch_mdns_off(dir: &Path) {
    let file = dir.join("longhaul.toml");
    let text = std::fs::read_to_string(&file).expect("init writes a configuration");
    assert!(text.contains("mdns = true"), "the example configuration shows mdns");
    std::fs::write(&file, text.replace("mdns = true", "mdns = false")).expect("it can be changed");
}

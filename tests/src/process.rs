//! Programs that run as processes of their own, and never longer than their test.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::condition::within;

/// A program that runs. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: watch::Receiver<String>,
}

/// A program that ended by itself.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status; None where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a program. What it writes is kept.
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let (sender, output) = watch::channel(String::new());
        tokio::spawn(keep(child.stdout.take().unwrap(), sender.clone()));
        tokio::spawn(keep(child.stderr.take().unwrap(), sender));
        Self { name: name.to_owned(), child, output }
    }

    /// Everything that it wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// Waits until it has written `text`.
    pub async fn says(&mut self, text: &str) {
        let what = format!("{} says {text:?}", self.name);
        let said = self.output.wait_for(|output| output.contains(text));
        let has_said = within(&what, said).await.is_ok();
        assert!(has_said, "{what}; it ended with\n{}", self.output());
    }

    /// Fails where it has ended.
    pub async fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            // Until its last words are read.
            while self.output.changed().await.is_ok() {}
            panic!("{} ended with {status}:\n{}", self.name, self.output());
        }
    }

    /// Sends SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        within("SIGKILL", self.child.kill()).await.unwrap();
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        // The shell's own `kill`: a bare machine may have no other.
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().await;
        assert!(sent.unwrap().success(), "SIGTERM was not sent to {}", self.name);
    }

    /// It stands still, as a program that hangs.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// It goes on.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Lets no file that it writes grow beyond so many bytes, as a full disk does. `None`: there
    /// is room again.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    fn pid(&self) -> Pid {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }

    /// Its arguments and its environment, as other programs of its user read them.
    #[must_use]
    pub fn seen_by_others(&self) -> String {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        let read = |file| std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
        ["cmdline", "environ"]
            .map(|file| String::from_utf8_lossy(&read(file)).into_owned())
            .concat()
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        within(&format!("the end of {}", self.name), self.child.wait()).await.unwrap()
    }
}

/// Runs a program to its end.
pub async fn run(mut command: Command) -> Finished {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within(&format!("{command:?}"), command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Finished { code: output.status.code(), stdout, stderr }
}

/// Adds what is read to the output, line by line, so that the pipe is never full.
async fn keep(stream: impl AsyncRead + Unpin, output: watch::Sender<String>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        output.send_modify(|output| {
            output.push_str(&line);
            output.push('\n');
        });
    }
}

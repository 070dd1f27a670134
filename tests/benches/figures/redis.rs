//! A Redis server of one's own, and a lock in it.

use std::{
    env, fs,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use saga_tests::server::free_port;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::Mutex,
};
use uuid::Uuid;

use super::processes::Killed;

/// How long somebody who died may keep the lock.
const LEASE_MS: &str = "10000";

/// Pause before a lock that is taken is asked for again, at least; twice that at most.
/// Shorter ones make the server busy with refusals.
const PAUSE_MS_MIN: u64 = 100;

/// Frees the lock where it is still the caller's.
const FREE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
                    return redis.call('del', KEYS[1]) else return 0 end";

const CONNECTIONS: usize = 32;

/// The server and connections to it. Stopped when dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    connections: Vec<Mutex<BufReader<TcpStream>>>,
    turn: AtomicUsize,
    _server: Killed,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server that keeps everything in memory only. None where it is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let binary = find("redis-server")?;
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let server = Command::new(binary)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(address.port().to_string())
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Killed(server);
        let started = Instant::now();
        let mut connections = Vec::new();
        while connections.len() < CONNECTIONS {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).unwrap();
                    connections.push(Mutex::new(BufReader::new(stream)));
                }
                Err(error) => {
                    assert!(started.elapsed() < Duration::from_secs(10), "redis-server: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        let turn = AtomicUsize::new(0);
        Some(Self { connections, turn, _server: server, _folder: folder })
    }

    /// Runs `work` while this process holds the lock of this name. Returns what it came to,
    /// and how often the lock was asked for in vain.
    pub(crate) async fn locked<T>(&self, name: &str, work: impl Future<Output = T>) -> (T, u32) {
        let token = Uuid::now_v7().to_string();
        let mut in_vain = 0;
        while self.ask(&["SET", name, &token, "NX", "PX", LEASE_MS]).await != "+OK" {
            in_vain += 1;
            // Apart, or they would all come back together.
            let apart_ms = u64::from(Uuid::now_v7().as_bytes()[15]) * PAUSE_MS_MIN / 256;
            tokio::time::sleep(Duration::from_millis(PAUSE_MS_MIN + apart_ms)).await;
        }
        let came_to = work.await;
        let freed = self.ask(&["EVAL", FREE, "1", name, &token]).await;
        assert_eq!(freed, ":1", "the lock of {name} was lost");
        (came_to, in_vain)
    }

    /// Sends a command in RESP, and returns its reply: a status, a number or `$-1`.
    async fn ask(&self, words: &[&str]) -> String {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[turn].lock().await;
        connection.get_mut().write_all(command.as_bytes()).await.unwrap();
        let mut reply = String::new();
        connection.read_line(&mut reply).await.unwrap();
        if let Some(length) = reply.strip_prefix('$').and_then(|it| it.trim().parse().ok()) {
            let length: usize = length;
            let mut text = vec![0; length + 2];
            connection.read_exact(&mut text).await.unwrap();
        }
        reply.trim().to_owned()
    }
}

/// Looks for a program in the search path.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).chain([Path::new("/usr/bin").to_owned()]);
    found.map(|folder| folder.join(program)).find(|file| fs::metadata(file).is_ok())
}

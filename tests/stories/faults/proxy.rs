//! A wire between Friday and PostgreSQL that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// As it should be.
    Whole,
    /// Connections are closed, and new ones as well.
    Cut,
    /// Nothing gets through, and nobody is told.
    Silent,
}

/// The wire.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    commits: Arc<AtomicUsize>,
}

impl Proxy {
    /// A wire to the server of this URL.
    pub async fn to(url: &str) -> Proxy {
        let url = reqwest::Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wire, state) = watch::channel(Wire::Whole);
        let commits = Arc::new(AtomicUsize::new(0));
        let lost = commits.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, state, lost) = (server.clone(), state.clone(), lost.clone());
                tokio::spawn(async move {
                    if *state.borrow() != Wire::Cut {
                        let server = TcpStream::connect(server).await.unwrap();
                        carry(client, server, state, lost).await;
                    }
                });
            }
        });
        Proxy { address, wire, commits }
    }

    /// The same database, through the wire.
    pub fn url(&self, url: &str) -> String {
        let mut url = reqwest::Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        // Encrypted, nobody could tell a commit from anything else.
        url.set_query(Some("sslmode=disable"));
        url.to_string()
    }

    pub fn is(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// The next so many commits are done, and their answers lost with the connection.
    pub fn lose_commits(&self, count: usize) {
        self.commits.store(count, Ordering::SeqCst);
    }

    /// How many of these are still to come.
    pub fn commits_to_lose(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

/// Carries both ways until either end closes or the wire is cut.
async fn carry(client: TcpStream, server: TcpStream, mut wire: watch::Receiver<Wire>, lost: Arc<AtomicUsize>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (mut up, mut down) = (wire.clone(), wire.clone());
    let there = async {
        loop {
            let bytes = receive(&mut from_client, &mut up).await?;
            let is_commit = bytes.windows(7).any(|word| word == b"COMMIT\0");
            let take = |n: usize| n.checked_sub(1);
            let lose = is_commit && lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
            to_server.write_all(&bytes).await.ok()?;
            if lose {
                return Some(());
            }
        }
    };
    let back = async {
        loop {
            let bytes = receive(&mut from_server, &mut down).await?;
            to_client.write_all(&bytes).await.ok()?;
        }
    };
    let ended = tokio::select! {
        lost = there => lost,
        ended = back => ended,
        _ = wire.wait_for(|wire| *wire == Wire::Cut) => None,
    };
    if ended.is_some() {
        see_it_done(from_server, to_server).await;
    }
}

/// The answer to a commit, which says that it is done, and which nobody gets.
async fn see_it_done(mut from_server: OwnedReadHalf, _to_server: OwnedWriteHalf) {
    let mut answer = [0; 64];
    assert!(from_server.read(&mut answer).await.unwrap() > 0);
}

async fn receive(from: &mut OwnedReadHalf, wire: &mut watch::Receiver<Wire>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16 * 1024];
    let count = from.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
    bytes.truncate(count);
    wire.wait_for(|wire| *wire != Wire::Silent).await.ok()?;
    Some(bytes)
}

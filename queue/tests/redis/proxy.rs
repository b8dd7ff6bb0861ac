//! A connection that breaks at the worst moment: after the server did what it was asked for, before its answer arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::server::Server;

/// Stands between client and server.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    /// Where new connections lead.
    upstream: Arc<Mutex<SocketAddr>>,
    /// How many answers are still to be swallowed, each with its connection.
    swallow: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (swallow, upstream) = (Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(server.address())));
        let mut connections = JoinSet::new();
        let (swallowing, leads_to) = (Arc::clone(&swallow), Arc::clone(&upstream));
        connections.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let to = *leads_to.lock();
                let server = TcpStream::connect(to).await.unwrap();
                connections.spawn(carry(client, server, Arc::clone(&swallowing)));
            }
        });
        Self { address, upstream, swallow, _connections: connections }
    }

    /// New connections lead to another server; those that are there go on.
    pub(crate) fn lead_to(&self, server: &Server) {
        *self.upstream.lock() = server.address();
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The next answers do not arrive.
    pub(crate) fn swallow(&self, answers: usize) {
        self.swallow.store(answers, Ordering::SeqCst);
    }

    /// Whether all that was to be swallowed was.
    pub(crate) fn has_swallowed(&self) -> bool {
        self.swallow.load(Ordering::SeqCst) == 0
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, swallow: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count {
                Ok(count) if count > 0 => server.write_all(&asked[..count]).await.unwrap(),
                _ => return,
            },
            count = server.read(&mut answered) => match count {
                Ok(count) if count > 0 => {
                    let left = swallow.load(Ordering::SeqCst);
                    if left > 0 {
                        swallow.store(left - 1, Ordering::SeqCst);
                        return;
                    }
                    if client.write_all(&answered[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

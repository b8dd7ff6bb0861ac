//! Stands between a client and a server, and does to connections what networks and servers do.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to connections that are made from now on; those that are open end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They reach the server.
    Pass,
    /// They are answered with 500.
    Fail,
    /// They are answered with 503 and S3's code for too many requests.
    SlowDown,
    /// They are never answered.
    Stall,
    /// They are closed at once.
    Close,
    /// The first byte of the first body becomes another one.
    Corrupt,
    /// The server gets the request, the client no answer.
    LoseAnswer,
}

/// Ends with the value, and its connections with it.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl FaultProxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(connection(client, server, modes.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, mode, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn connection(client: TcpStream, server: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let mode = *modes.borrow_and_update();
    tokio::select! {
        _ = modes.changed() => {}
        () = serve(client, server, mode) => {}
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, mode: Mode) {
    match mode {
        Mode::Close => {}
        Mode::Stall => std::future::pending().await,
        Mode::Fail => refuse(&mut client, "500 Internal Server Error", "InternalError").await,
        Mode::SlowDown => refuse(&mut client, "503 Slow Down", "SlowDown").await,
        Mode::Pass | Mode::Corrupt | Mode::LoseAnswer => {
            // Without a server, the client's connection just ends.
            let Ok(server) = TcpStream::connect(server).await else { return };
            forward(client, server, mode).await;
        }
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, mode: Mode) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        if mode == Mode::Corrupt {
            corrupt(&mut from_client, &mut to_server).await;
        }
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let down = async {
        if mode == Mode::LoseAnswer {
            let _ = from_server.read(&mut [0; 1]).await;
        } else {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}

/// Forwards a head and one byte of the body, changed.
async fn corrupt(from: &mut (impl AsyncReadExt + Unpin), to: &mut (impl AsyncWriteExt + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = from.read_u8().await else { return };
        head.push(byte);
    }
    let Ok(()) = to.write_all(&head).await else { return };
    let Ok(byte) = from.read_u8().await else { return };
    let _ = to.write_u8(!byte).await;
}

/// Reads what there is of a request and answers it.
async fn refuse(client: &mut TcpStream, status: &str, code: &str) {
    let _ = client.read(&mut vec![0; 16 * 1024]).await;
    let body = format!("<Error><Code>{code}</Code><Message>as asked</Message></Error>");
    let answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
    // Until the client has read it.
    let _ = tokio::io::copy(client, &mut tokio::io::sink()).await;
}

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use pingora::protocols::http::v1::client::HttpSession as Http1Session;
use pingora::protocols::http::v2::server::{H2Accept, HttpSession as Http2Session, handshake};
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{Digest, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::ai::keys::UseBook;
use crate::ai::snapshot::{Healths, Route, Snapshot};
use crate::config;

/// What does not happen by then never does.
const NEVER: Duration = Duration::from_secs(10);

const MIB: usize = 1 << 20;

/// The provider at an address, as the default one.
fn provider(addr: SocketAddr, settings: &str) -> Arc<Route> {
    let text = format!(
        "server: {{listen: [{{addr: '127.0.0.1:0'}}]}}
ai:
  providers: {{p: {{kind: openai, base_url: 'http://{addr}', {settings}}}}}
  default_provider: p"
    );
    let config = config::parse(&text, Path::new("x"), &HashMap::new()).unwrap();
    let snapshot = Snapshot::new(config.ai.unwrap(), &UseBook::default(), &Healths::default()).unwrap();
    Arc::clone(snapshot.default_provider().unwrap())
}

fn client() -> Client {
    Client::new(Arc::default())
}

fn request(method: &str, length: usize) -> RequestHeader {
    let mut head = RequestHeader::build(method, b"/", None).unwrap();
    head.insert_header("host", "h").unwrap();
    head.insert_header("content-length", length).unwrap();
    head
}

/// Listens, and serves the first connection.
async fn listen<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> (SocketAddr, JoinSet<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut served = JoinSet::new();
    served.spawn(async move { serve(listener.accept().await.unwrap().0).await });
    (addr, served)
}

/// Answers every request on a connection of HTTP/2 with a body of so many bytes, until it is closed.
async fn serve_http2(stream: TcpStream, length: usize) {
    let stream: Stream = Box::new(L4Stream::from(stream));
    let mut connection = handshake(stream, None).await.unwrap();
    let mut answers = JoinSet::new();
    while let Ok(Some(accepted)) =
        Http2Session::from_h2_conn(&mut connection, Arc::new(Digest::default())).await
    {
        let H2Accept::Session(mut session) = accepted else { continue };
        answers.spawn(async move {
            let head = Box::new(ResponseHeader::build(200, None).unwrap());
            session.write_response_header(head, false).unwrap();
            session.write_body(vec![7; length].into(), true).await
        });
    }
}

async fn ask(client: &Client, to: &Route, fresh: bool) -> Box<Upstream> {
    let mut upstream = client.connect(&to.targets[0], fresh).await.unwrap();
    upstream.send(request("GET", 0), &[]).await.unwrap();
    assert_eq!(upstream.read_head().await.unwrap().status, 200);
    upstream
}

async fn length(upstream: &mut Upstream) -> usize {
    let mut length = 0;
    while let Some(piece) = upstream.read().await.unwrap() {
        length += piece.len();
    }
    length
}

#[tokio::test]
async fn a_fresh_connection_of_http2_ends_when_nobody_uses_it() {
    let (addr, mut served) = listen(|stream| serve_http2(stream, 10)).await;
    let (client, to) = (client(), provider(addr, "http2: true, idle_timeout: 100ms"));
    let mut upstream = ask(&client, &to, true).await;
    assert_eq!(length(&mut upstream).await, 10);
    upstream.finish(&client).await;
    timeout(NEVER, served.join_next()).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_no_other_one_up() {
    let (addr, _served) = listen(|stream| serve_http2(stream, 16 * MIB)).await;
    let (client, to) = (client(), provider(addr, "http2: true"));
    let idle = ask(&client, &to, false).await;
    let mut other = ask(&client, &to, false).await;
    assert!(other.reused, "they share a connection");
    let length = timeout(NEVER, length(&mut other)).await.expect("the other one is served");
    assert_eq!(length, 16 * MIB);
    for upstream in [idle, other] {
        upstream.release(&client).await;
    }
}

#[test]
fn connections_of_http2_are_asked_whether_they_live() {
    let addr = "127.0.0.1:1".parse().unwrap();
    let to = provider(addr, "http2: true");
    let peer = peer::peer(&to.targets[0].target.provider, addr, PROMPT, None);
    assert!(peer.options.h2_ping_interval.is_some_and(|interval| interval < Duration::from_secs(30)));
}

#[tokio::test]
async fn a_long_body_may_take_longer_than_a_part_of_it() {
    let (addr, _served) = listen(async |mut stream: TcpStream| {
        let mut piece = vec![0; MIB];
        for _ in 0..32 {
            stream.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    })
    .await;
    let mut upstream = client().connect(&provider(addr, "http2: false").targets[0], false).await.unwrap();
    upstream.peer.options.write_timeout = Some(Duration::from_millis(1500));
    let body = Bytes::from(vec![7; 32 * MIB]);
    upstream.send(request("POST", body.len()), &[body]).await.unwrap();
    assert!(!upstream.unsent);
    assert_eq!(upstream.read_head().await.unwrap().status, 200);
}

#[tokio::test]
async fn who_takes_nothing_more_is_not_waited_for() {
    for (answer, expected) in
        [("", Err(ExchangeError::Silent)), ("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", Ok(413))]
    {
        let (addr, _served) = listen(async move |mut stream: TcpStream| {
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        })
        .await;
        let to = provider(addr, "http2: false");
        let client = client();
        let mut upstream = client.connect(&to.targets[0], false).await.unwrap();
        upstream.peer.options.write_timeout = Some(Duration::from_millis(200));
        let body = Bytes::from(vec![7; 32 * MIB]);
        upstream.send(request("POST", body.len()), &[body]).await.unwrap();
        let head = timeout(NEVER, upstream.read_head()).await.expect("it ends");
        assert_eq!(head.map(|head| head.status.as_u16()), expected);
        timeout(NEVER, upstream.release(&client)).await.expect("it is released");
    }
}

#[tokio::test]
async fn what_is_left_to_be_sent_holds_no_release_up() {
    let mut peer = HttpPeer::new("127.0.0.1:1", false, String::new());
    peer.options.write_timeout = Some(Duration::from_millis(50));
    // As TLS does, this stream sends what it holds before it ends.
    let (ours, _theirs) = duplex(16);
    let stream: Stream = Box::new(JoinedStream::new(Box::new(ours)));
    let session = HttpSession::H1(Http1Session::new_with_options(stream, &peer));
    let mut upstream = Box::new(Upstream::new(session, peer, false));
    upstream.send(request("POST", 100), &[Bytes::from_static(&[7; 100])]).await.unwrap();
    timeout(NEVER, upstream.release(&client())).await.expect("it is released");
}

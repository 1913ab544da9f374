//! Both ends over real gRPC on a Unix socket: what the machines say arrives as it was meant.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use meshctl::control::session::{Limits, Session};
use meshctl::resource::{Address, Key, Resource};
use meshctl::xds::codec::{Encoded, encode};
use meshctl::xds::discovery::{DeltaRequest, DeltaResponse, Node, Refusal};
use meshctl::xds::grpc::{Client, Delta, Keepalive, Peer, PeerStream, channel_over, serve_stream};
use meshctl::xds::subscription::{Held, Subscription};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Code, Status, Streaming};

/// Longer than any of this takes on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn resource() -> Resource {
    let address = "10.0.0.1:80".parse().expect("it is an address");
    let service = "shop/web".parse().expect("it is a service");
    Resource::Address(Address { address, service, port: 80 })
}

fn forbidden() -> Key {
    Key { name: "address/10.9.9.9:80".into(), ..resource().key() }
}

/// One turn of the control plane's end.
fn answer(
    session: &Mutex<Session>,
    request: DeltaRequest,
    there: &Arc<Encoded>,
) -> Result<Vec<DeltaResponse>, Status> {
    let mut session = session.lock().expect("nobody panics with it");
    session
        .on_request(request, &|key| *key != forbidden())
        .map_err(|refuse| Status::permission_denied(refuse.to_string()))?;
    let resources = |key: &Key| (*key == there.key).then(|| Arc::clone(there));
    Ok(session.poll(Instant::now(), &resources))
}

/// Serves one resource; the session is there to be looked at.
fn serve(path: &Path, session: Arc<Mutex<Session>>) {
    let listener = UnixListener::bind(path).expect("the directory is ours");
    let incoming = UnixListenerStream::new(listener).map(|accepted| {
        accepted.map(|stream| {
            let unix_uid = stream.peer_cred().ok().map(|peer| peer.uid());
            PeerStream::new(stream, Peer { unix_uid, ..Peer::default() })
        })
    });
    let there = Arc::new(encode(&resource()));
    let delta = serve_stream(Delta, move |peer: Peer, inbound: Streaming<DeltaRequest>| {
        let (session, there) = (Arc::clone(&session), Arc::clone(&there));
        async move {
            assert!(peer.unix_uid.is_some(), "the socket says who calls");
            Ok(inbound.flat_map(move |request| {
                let answered = request.and_then(|request| answer(&session, request, &there));
                stream::iter(match answered {
                    Ok(responses) => responses.into_iter().map(Ok).collect(),
                    Err(status) => vec![Err(status)],
                })
            }))
        }
    });
    tokio::spawn(Server::builder().add_service(delta).serve_with_incoming(incoming));
}

#[tokio::test]
async fn a_resource_goes_down_and_its_verdict_comes_up() {
    let home = tempfile::tempdir().expect("there is room for a directory");
    let path = home.path().join("xds.sock");
    let session = Arc::new(Mutex::new(Session::new(Limits::default())));
    serve(&path, Arc::clone(&session));
    let connect = move || UnixStream::connect(path.clone());
    let mut client = Client::new(channel_over(connect, Keepalive::default()));

    let (key, absent) = (resource().key(), Key::mesh());
    let mut subscription = Subscription::new();
    for wanted in [&key, &absent] {
        subscription.subscribe(wanted).expect("there are few names");
    }
    let (sender, receiver) = mpsc::channel(8);
    for request in subscription.start(Node::default()) {
        sender.send(request).await.expect("nobody has let go");
    }
    let played = async {
        let mut inbound = client.delta(ReceiverStream::new(receiver)).await?;
        for _ in 0..2 {
            let response = inbound.message().await?.expect("the stream is open");
            let received = subscription.on_response(response);
            let refused = received.updates.iter().filter(|(_, update)| update.is_some());
            let refused = refused.map(|(key, _)| Refusal::new(&key.name, "port", "not mine"));
            let answer = subscription.settle(received.ticket, refused.collect());
            sender.send(answer.expect("the stream is the same")).await.expect("it is open");
        }
        subscription.subscribe(&forbidden()).expect("there are few names");
        for request in subscription.poll() {
            sender.send(request).await.expect("it is open");
        }
        inbound.message().await
    };
    let ended = tokio::time::timeout(DEADLINE, played).await.expect("it goes on");
    assert_eq!(ended.map_err(|status| status.code()), Err(Code::PermissionDenied));

    let session = session.lock().expect("nobody panics with it");
    assert_eq!(session.acknowledged(&absent), Some(&Held::Absent));
    let refused = session.refused(&key).expect("it was refused");
    assert_eq!(refused.refusal, Refusal::new(&key.name, "port", "not mine"));
    assert_eq!(refused.version, Held::Version(encode(&resource()).version));
}

#[test]
fn fields_and_messages_of_a_later_version_are_passed_over() {
    use meshctl::xds::agent::{Down, Hello, Up, Welcome};
    use prost::Message as _;
    // Field 1000, a number; and field 1001, a text.
    let later = [0xc0, 0x3e, 0x07, 0xca, 0x3e, 0x03, b'n', b'e', b'w'];
    let hello = Hello { name: "web-0".into(), product_version: "0.1.0".into(), ..Hello::default() };
    let bytes = [hello.encode_to_vec(), later.to_vec()].concat();
    assert_eq!(Hello::decode(&*bytes).expect("it is a hello"), hello);
    let welcome = Welcome { product_version: "0.2.0".into() };
    let bytes = [welcome.encode_to_vec(), later.to_vec()].concat();
    assert_eq!(Welcome::decode(&*bytes).expect("it is a welcome"), welcome);
    // A kind of message that nobody here knows is none, and no reason to end.
    assert_eq!(Up::decode(&later[..]).expect("it is a message").message, None);
    assert_eq!(Down::decode(&later[..]).expect("it is a message").message, None);
}

//! Doors: what is between engines and servers, and between servers, and can be held, cut, or made to lose replies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::random::Random;

/// What becomes of bytes at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Passage {
    #[default]
    Open,
    /// They wait until it is open again, as where packets are lost: nobody is told anything.
    Held,
    /// Connections end, and new ones end at once.
    Cut,
}

#[derive(Clone, Default)]
struct Rules {
    all: Passage,
    /// By the name of the server that came through it.
    from: BTreeMap<String, Passage>,
    /// So many of a thousand acknowledgements of a stream are lost.
    lost_permille: u64,
}

/// A listener on loopback that leads to one server.
pub(crate) struct Door {
    port: u16,
    rules: Arc<watch::Sender<Rules>>,
}

impl Door {
    /// One that leads to a port; what it loses is chosen by a seed.
    pub(crate) async fn to(target: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let rules = Arc::new(watch::Sender::new(Rules::default()));
        let (shared, luck) = (rules.clone(), Arc::new(Mutex::new(Random::new(seed))));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let gate = Gate { rules: shared.subscribe(), name: Arc::default() };
                tokio::spawn(carry(client, target, gate, luck.clone()));
            }
        });
        Self { port, rules }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What becomes of everything.
    pub(crate) fn set(&self, passage: Passage) {
        self.rules.send_modify(|rules| rules.all = passage);
    }

    /// What becomes of what one server sends and is sent, of which this is not the door.
    pub(crate) fn set_for(&self, server: &str, passage: Passage) {
        self.rules.send_modify(|rules| {
            rules.from.insert(server.to_owned(), passage);
        });
    }

    /// Of a thousand acknowledgements of a stream so many are lost, and nothing else.
    pub(crate) fn lose(&self, permille: u64) {
        self.rules.send_modify(|rules| rules.lost_permille = permille);
    }
}

/// What one connection may do.
#[derive(Clone)]
struct Gate {
    rules: watch::Receiver<Rules>,
    /// The server that dialled, once it has said who it is.
    name: Arc<OnceLock<String>>,
}

impl Gate {
    async fn until(&mut self, wanted: Passage) {
        let name = self.name.clone();
        let is_so = |rules: &Rules| {
            let of = name.get().and_then(|name| rules.from.get(name)).copied().unwrap_or_default();
            rules.all.max(of) == wanted
        };
        // The door is gone with its test.
        if self.rules.wait_for(is_so).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// A server that dials says its name in the first thing that it sends.
    fn learn(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let name = text.split_once(r#""server_name":""#).and_then(|(_, rest)| rest.split('"').next());
        if let Some(name) = name {
            self.name.get_or_init(|| name.to_owned());
        }
    }
}

async fn carry(client: TcpStream, target: u16, gate: Gate, luck: Arc<Mutex<Random>>) {
    let mut cut = gate.clone();
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let (named, losing) = (gate.clone(), gate.rules.clone());
    let mut replies = Replies::default();
    let up = pump(client_in, server_out, gate.clone(), |bytes| {
        named.learn(bytes);
        bytes.to_vec()
    });
    let down = pump(server_in, client_out, gate, |bytes| {
        let permille = losing.borrow().lost_permille;
        replies.pass(bytes, || permille > 0 && luck.lock().expect("nobody panics here").chance(permille))
    });
    // A gate that is named while nothing changes is looked at again with what comes next.
    tokio::select! {
        () = up => {}
        () = down => {}
        () = cut.until(Passage::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Gate, mut each: impl FnMut(&[u8]) -> Vec<u8>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let bytes = each(&buffer[..n]);
        gate.until(Passage::Open).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// What a server says to a client, operation by operation, so that one can be left out and the rest stays whole.
#[derive(Default)]
pub(crate) struct Replies {
    /// The beginning of an operation whose end has not come yet.
    rest: Vec<u8>,
}

impl Replies {
    /// What goes on of these bytes and of what waited. `loses` is asked of each acknowledgement of a stream.
    pub(crate) fn pass(&mut self, bytes: &[u8], mut loses: impl FnMut() -> bool) -> Vec<u8> {
        self.rest.extend_from_slice(bytes);
        let (mut passed, mut at) = (Vec::with_capacity(self.rest.len()), 0);
        while let Some(operation) = first_operation(&self.rest[at..]) {
            at += operation.len();
            if !(is_acknowledgement(operation) && loses()) {
                passed.extend_from_slice(operation);
            }
        }
        self.rest.drain(..at);
        passed
    }
}

/// The operation that stands at the beginning, if all of it is there.
fn first_operation(bytes: &[u8]) -> Option<&[u8]> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let line = std::str::from_utf8(&bytes[..line_end]).unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let payload = match words.next() {
        Some("MSG" | "HMSG") => words.last()?.parse::<usize>().ok()? + 2,
        _ => 0,
    };
    bytes.get(..line_end + payload)
}

/// An answer in JSON that begins with the stream that has stored something: of commits, ticks and keys alike.
fn is_acknowledgement(operation: &[u8]) -> bool {
    operation.starts_with(b"MSG _INBOX.") && contains(operation, br#"{"stream":"#) && contains(operation, br#""seq":"#)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

//! What stands in a connection: it passes bytes on, late, in part, one way only, or not at all.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What is done to every connection, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// All is passed on.
    Pass,
    /// Whatever is read waits for so long before it is passed on.
    Delay(Duration),
    /// After so many more bytes of replies the connection is closed, in the middle of one.
    CutReplies(usize),
    /// After so many more bytes either way the connection is reset.
    Reset(usize),
    /// Nothing is passed on to the server, and the client is told nothing of it.
    SilenceRequests,
    /// Nothing is passed on to the client, and the server is told nothing of it.
    SilenceReplies,
    /// Nothing is passed on either way.
    SilenceBoth,
    /// Connections are reset, and new ones as well.
    Refuse,
}

impl Rule {
    const fn silences(self, direction: Direction) -> bool {
        match direction {
            Direction::Requests => matches!(self, Self::SilenceRequests | Self::SilenceBoth),
            Direction::Replies => matches!(self, Self::SilenceReplies | Self::SilenceBoth),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Requests,
    Replies,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub enum Upstream {
    Tcp(u16),
    Unix(PathBuf),
}

/// A rule, and whether connections that were silenced are silent for ever, as where their host was lost. Others go on
/// when the rule ends.
#[derive(Clone, Copy, Debug)]
struct Order {
    rule: Rule,
    /// Counts orders, so that the same rule may come twice.
    number: u64,
    for_good: bool,
}

/// A port that leads to a server.
pub struct Proxy {
    port: u16,
    upstream: Arc<Mutex<Upstream>>,
    orders: watch::Sender<Order>,
}

impl Proxy {
    pub async fn before(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = Arc::new(Mutex::new(upstream));
        let orders = watch::Sender::new(Order { rule: Rule::Pass, number: 0, for_good: false });
        let (to, follow) = (upstream.clone(), orders.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, orders) = (to.lock().unwrap().clone(), follow.subscribe());
                tokio::spawn(serve(client, upstream, orders));
            }
        });
        Self { port, upstream, orders }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead there.
    pub fn lead_to(&self, upstream: Upstream) {
        *self.upstream.lock().unwrap() = upstream;
    }

    /// From now on. `for_good`: connections that this rule silences stay silent.
    pub fn set(&self, rule: Rule, for_good: bool) {
        self.orders.send_modify(|order| *order = Order { rule, number: order.number + 1, for_good });
    }
}

/// Why a connection ends.
enum Ending {
    Closed,
    Reset,
}

async fn serve(client: TcpStream, upstream: Upstream, orders: watch::Receiver<Order>) {
    let _ = client.set_nodelay(true);
    let ending = match upstream {
        _ if orders.borrow().rule == Rule::Refuse => Ending::Reset,
        Upstream::Tcp(port) => match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(server) => {
                let _ = server.set_nodelay(true);
                let (reader, writer) = server.into_split();
                return connect(client, reader, writer, orders).await;
            }
            Err(_) => Ending::Reset,
        },
        Upstream::Unix(path) => match UnixStream::connect(path).await {
            Ok(server) => {
                let (reader, writer) = server.into_split();
                return connect(client, reader, writer, orders).await;
            }
            Err(_) => Ending::Reset,
        },
    };
    end(&client, &ending);
}

async fn connect(
    mut client: TcpStream,
    from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    orders: watch::Receiver<Order>,
) {
    let ending = {
        let (from_client, to_client) = client.split();
        tokio::select! {
            ending = pump(Direction::Requests, from_client, to_server, orders.clone()) => ending,
            ending = pump(Direction::Replies, from_server, to_client, orders) => ending,
        }
    };
    end(&client, &ending);
}

fn end(client: &TcpStream, ending: &Ending) {
    if matches!(ending, Ending::Reset) {
        let _ = client.set_zero_linger();
    }
}

/// Passes one direction on until one side has ended it, or a rule does.
async fn pump(
    direction: Direction,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Order>,
) -> Ending {
    let mut buffer = vec![0; 16_384];
    let mut counted = (0, 0);
    loop {
        let order = *orders.borrow_and_update();
        if order.rule == Rule::Refuse {
            return Ending::Reset;
        }
        if order.rule.silences(direction) {
            if order.for_good {
                return swallow(reader).await;
            }
            if orders.changed().await.is_err() {
                return Ending::Closed;
            }
            continue;
        }
        let length = tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(length @ 1..) => length,
                Ok(0) | Err(_) => return Ending::Closed,
            },
            changed = orders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ending::Closed,
            },
        };
        // The rule may have come while nothing was said.
        let order = *orders.borrow();
        if counted.0 != order.number {
            counted = (order.number, 0);
        }
        let (passed, ending) = match order.rule {
            Rule::CutReplies(limit) if direction == Direction::Replies => {
                (limit - limit.min(counted.1), Some(Ending::Closed))
            }
            Rule::Reset(limit) => (limit - limit.min(counted.1), Some(Ending::Reset)),
            _ => (length, None),
        };
        if let Rule::Delay(pause) = order.rule {
            tokio::time::sleep(pause).await;
        }
        // What was read just when the silence began is not said either.
        while orders.borrow().rule.silences(direction) {
            if orders.borrow_and_update().for_good {
                return swallow(reader).await;
            }
            if orders.changed().await.is_err() {
                return Ending::Closed;
            }
        }
        let passed = passed.min(length);
        if writer.write_all(&buffer[..passed]).await.is_err() {
            return Ending::Closed;
        }
        counted.1 += passed;
        if let (true, Some(ending)) = (passed < length, ending) {
            return ending;
        }
    }
}

/// Passes nothing on any more, and notices only that the sender ends it.
async fn swallow(mut reader: impl AsyncRead + Unpin) -> Ending {
    let mut buffer = vec![0; 16_384];
    while let Ok(1..) = reader.read(&mut buffer).await {}
    Ending::Closed
}

//! A client that costs little, because it shares the cores with what it measures: HTTP/1.1 with keep-alive, just enough
//! of it for the replies of one route.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One kept connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

/// What a reply says.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    pub status: u16,
    pub inserted: u32,
    pub unchanged: u32,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("the server cannot be reached")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its reply.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        self.stream.write_all(request).await?;
        self.input.clear();
        let (mut head_length, mut length) = (0, None);
        loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the server hung up");
            }
            if length.is_none()
                && let Some(end) = find(&self.input, b"\r\n\r\n")
            {
                head_length = end + 4;
                length = Some(number_after(&self.input[..end], b"content-length: ")? as usize);
            }
            if length.is_some_and(|length| self.input.len() >= head_length + length) {
                break;
            }
        }
        let status = u16::try_from(number_after(&self.input, b"HTTP/1.1 ")?)?;
        let body = &self.input[head_length..];
        if status != 200 {
            return Ok(Reply { status, inserted: 0, unchanged: 0 });
        }
        Ok(Reply {
            status,
            inserted: number_after(body, b"\"inserted\":")?,
            unchanged: number_after(body, b"\"unchanged\":")?,
        })
    }

    /// What came last, for complaints.
    pub fn last_reply(&self) -> String {
        String::from_utf8_lossy(&self.input).into_owned()
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn number_after(text: &[u8], name: &[u8]) -> anyhow::Result<u32> {
    let start = find(text, name).map(|start| start + name.len());
    let digits = start.map(|start| text[start..].iter().take_while(|byte| byte.is_ascii_digit()));
    let number = digits.map(|digits| digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0')));
    number.with_context(|| format!("no {} in {}", String::from_utf8_lossy(name), String::from_utf8_lossy(text)))
}

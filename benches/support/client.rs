//! A client that costs little, because it shares the cores with what it measures: HTTP/1.1 with keep-alive, just enough
//! of it for replies with a known length.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One kept connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    head_length: usize,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("the server cannot be reached")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(16 * 1024), head_length: 0 })
    }

    /// Sends a request and reads its reply. Returns the status.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.send(request).await?;
        self.reply().await
    }

    /// Sends a part of a request.
    pub async fn send(&mut self, part: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(part).await?)
    }

    /// Reads a reply. Returns the status.
    pub async fn reply(&mut self) -> anyhow::Result<u16> {
        self.input.clear();
        let mut length = None;
        loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the server hung up");
            }
            if length.is_none()
                && let Some(end) = find(&self.input, b"\r\n\r\n")
            {
                self.head_length = end + 4;
                // 204 and 304 have no body and do not say so.
                let status = number_after(&self.input, b"HTTP/1.1 ")?;
                let bodiless = matches!(status, 204 | 304);
                length = Some(if bodiless { 0 } else { number_after(&self.input[..end], b"content-length: ")? });
            }
            if length.is_some_and(|length| self.input.len() >= self.head_length + length as usize) {
                break;
            }
        }
        Ok(u16::try_from(number_after(&self.input, b"HTTP/1.1 ")?)?)
    }

    /// A number of the last reply's body, by the name of its field.
    pub fn number(&self, field: &str) -> anyhow::Result<u32> {
        number_after(&self.input[self.head_length..], format!("\"{field}\":").as_bytes())
    }

    /// A header of the last reply, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = std::str::from_utf8(&self.input[..self.head_length]).ok()?;
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    }

    /// The last reply's body.
    pub fn body(&self) -> &[u8] {
        &self.input[self.head_length..]
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

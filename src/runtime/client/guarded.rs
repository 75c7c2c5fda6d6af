//! Connections on which nothing is written once the fence is closed.
//!
//! Between a look at the fence and the moment at which a request is really written lie queues and
//! perhaps a TLS handshake, and the process may be halted in between for longer than the lease
//! lasts. So the last look is taken here, right before the system call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::runtime::lease::Fence;

/// A connection behind a fence.
#[derive(Debug)]
pub(super) struct Guarded<S = TcpStream> {
    stream: S,
    fence: Fence,
}

impl<S> Guarded<S> {
    pub(super) const fn new(stream: S, fence: Fence) -> Self {
        Self { stream, fence }
    }

    fn check(&self) -> io::Result<()> {
        if self.fence.is_open() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "this replica does not lead",
        ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for Guarded<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(fence: Fence) -> Poll<io::Result<usize>> {
        let mut guarded = Guarded::new(tokio::io::empty(), fence);
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut guarded).poll_write(&mut context, b"a bind")
    }

    #[test]
    fn nothing_passes_a_closed_fence() {
        assert!(matches!(write(Fence::none()), Poll::Ready(Ok(6))));
        assert!(matches!(write(Fence::closed()), Poll::Ready(Err(_))));
    }
}

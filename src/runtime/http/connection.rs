//! Connections that cannot be held for ever, nor by arbitrarily many, nor be fed without end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// What clients may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; more wait to be accepted.
    pub(super) connections: usize,
    /// How long a connection lives after the last byte that was sent on it. Reading does not count:
    /// a client that sends its request byte by byte is as idle as one that sends none.
    pub(super) idle: Duration,
    /// How long a connection lives in any case.
    pub(super) lifetime: Duration,
    /// Bytes that may be read before an answer is sent: a request with its headers and its body,
    /// which no page wants.
    pub(super) request: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            // Above the usual interval of scrapes, so that they can keep their connection.
            idle: Duration::from_secs(75),
            lifetime: Duration::from_secs(15 * 60),
            request: 64 * 1024,
        }
    }
}

/// Accepts connections within limits.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    limits: Limits,
    slots: Arc<Semaphore>,
}

/// A connection within limits.
#[derive(Debug)]
pub(super) struct BoundedStream {
    stream: TcpStream,
    limits: Limits,
    /// Ends the connection.
    deadline: Pin<Box<Sleep>>,
    /// Where the deadline cannot be moved beyond.
    end: Instant,
    /// Bytes that may still be read.
    unread: usize,
    _slot: Option<OwnedSemaphorePermit>,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.connections));
        Self {
            listener,
            limits,
            slots,
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // An error means that the semaphore is closed, which nobody does.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        // Axum's own accept waits a while when the process is out of file descriptors.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are written at once; if this fails they arrive a little later.
        let _ = stream.set_nodelay(true);
        let now = Instant::now();
        let end = now + self.limits.lifetime;
        let stream = BoundedStream {
            stream,
            limits: self.limits,
            deadline: Box::pin(tokio::time::sleep_until((now + self.limits.idle).min(end))),
            end,
            unread: self.limits.request,
            _slot: slot,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl BoundedStream {
    /// An error once the deadline has passed; otherwise sees to it that the task is woken then.
    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Something was sent.
    fn progress(&mut self) {
        self.unread = self.limits.request;
        let deadline = (Instant::now() + self.limits.idle).min(self.end);
        self.deadline.as_mut().reset(deadline);
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        match self.unread.checked_sub(read) {
            Some(unread) => self.unread = unread,
            None => return Poll::Ready(Err(ErrorKind::InvalidData.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, buffer))?;
        self.progress();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_deadline(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, buffers))?;
        self.progress();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

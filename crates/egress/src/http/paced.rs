//! A connection that is read in small steps.
//!
//! A server may send endless bytes without progress, such as `100 Continue` or a chunk's size with many zeros, and the
//! next piece is always ready. So a task that reads such a connection yields after each step, and a step is kept about
//! as short as the time slice of a guest.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop,
};

/// How long a step should take, processing included. Guests yield as often.
const TURN: Duration = Duration::from_micros(50);

/// The bytes of a step. Measured: hyper takes 70 ns for a byte of a chunk's size, and less than 1 ns for one of a body.
const LEAST: usize = 512;
const FIRST: usize = 4 << 10;
const MOST: usize = 16 << 10;

/// A connection whose reads yield.
pub(super) struct Paced<T> {
    inner: T,
    /// The bytes of a step.
    step: usize,
    /// How many of them are left in this step.
    left: usize,
    began: Instant,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            step: FIRST,
            left: FIRST,
            began: Instant::now(),
        }
    }

    pub(super) fn inner(&self) -> &T {
        &self.inner
    }

    /// Starts the next step: a shorter one if this one took long, else a longer one.
    fn next_step(&mut self) {
        let took = self.began.elapsed();
        if took > TURN {
            self.step = (self.step / 2).max(LEAST);
        } else if took < TURN / 2 {
            self.step = (self.step * 2).min(MOST);
        }
        self.left = self.step;
    }
}

/// Ends the task's time slice: further polls in it are pending too. hyper reads up to sixteen times in one.
fn yielded<T>(cx: &mut Context<'_>) -> Poll<T> {
    // tokio's coop budget has 128 units. Outside of a task it is unlimited.
    for _ in 0..=u8::MAX {
        ready!(coop::poll_proceed(cx)).made_progress();
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.next_step();
            return yielded(cx);
        }
        if self.left == self.step {
            self.began = Instant::now();
        }
        let most = self.left.min(to.remaining());
        let mut part = ReadBuf::new(to.initialize_unfilled_to(most));
        let read = Pin::new(&mut self.inner).poll_read(cx, &mut part);
        let count = part.filled().len();
        if read.is_pending() {
            self.left = self.step;
        }
        ready!(read)?;
        to.advance(count);
        self.left -= count.min(self.left);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn an_endless_connection_yields_after_each_step() {
        let mut endless = Paced::new(tokio::io::repeat(1));
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = vec![0; 2 * MOST];
        let mut step = |takes: Duration| {
            let mut to = ReadBuf::new(&mut bytes);
            assert!(Pin::new(&mut endless).poll_read(&mut cx, &mut to).is_ready());
            let began = Instant::now();
            while began.elapsed() < takes {
                std::hint::spin_loop();
            }
            assert!(Pin::new(&mut endless).poll_read(&mut cx, &mut to).is_pending());
            to.filled().len()
        };
        assert_eq!(step(Duration::ZERO), FIRST);
        for _ in 0..20 {
            assert!((LEAST..=MOST).contains(&step(2 * TURN)));
        }
        assert_eq!(step(Duration::ZERO), LEAST);
    }
}

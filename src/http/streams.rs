//! The requests of one HTTP/2 connection, run within the task of the connection itself.
//!
//! With a task for each, a thousand connections could hand over sixteen heads each before the first
//! of these tasks has run. Within one task a request is answered before another connection is read.
//! One connection also has one turn on a thread, however many streams it opens.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use byway_turn::lock::lock;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;

type Request = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the requests that hyper begins.
#[derive(Clone, Default)]
pub(super) struct Streams {
    /// A `std` mutex: held for a push or a take, never across an await.
    new: Arc<Mutex<Vec<Request>>>,
}

impl Streams {
    fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.new))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, request: F) {
        lock(&self.new).push(Box::pin(request));
    }
}

/// A connection and its requests as one future.
pub(super) struct WithStreams<C> {
    connection: Pin<Box<C>>,
    streams: Streams,
    open: FuturesUnordered<Request>,
}

impl<C> Drop for WithStreams<C> {
    fn drop(&mut self) {
        // Each request holds its connection's executor, which would otherwise keep requests that
        // have not begun for ever.
        drop(self.streams.take());
    }
}

impl<C: Future> WithStreams<C> {
    /// `connection`, which was built with `streams` for its executor.
    pub(super) fn new(connection: C, streams: Streams) -> Self {
        Self { connection: Box::pin(connection), streams, open: FuturesUnordered::new() }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }
}

impl<C: Future> Future for WithStreams<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let me = &mut *self;
        loop {
            if let Poll::Ready(done) = me.connection.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            me.open.extend(me.streams.take());
            // A response that is complete is for the connection to send.
            match me.open.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => while let Poll::Ready(Some(())) = me.open.poll_next_unpin(cx) {},
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

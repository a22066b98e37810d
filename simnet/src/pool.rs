//! The worker pool: training and evaluation run here while virtual time goes on.
//!
//! A job is a pure function of what it is given. It is handed out at once and
//! joined at its modelled completion, so neither results nor their order
//! depend on the number of workers or on how fast they are.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

type Task = Box<dyn FnOnce() + Send>;

/// Threads that carry out jobs, oldest first.
pub struct Pool {
    tasks: Option<Sender<Task>>,
    workers: Vec<JoinHandle<()>>,
}

/// A job that was handed out and has not been joined.
#[derive(Debug)]
pub struct Pending<T>(Receiver<T>);

/// A worker stopped before it had answered: the job panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a worker stopped in the middle of a job")]
pub struct WorkerLost;

impl Pool {
    /// Starts `workers` threads, at least one.
    pub fn new(workers: usize) -> Self {
        let (tasks, queue) = channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        let workers = (0..workers.max(1)).map(|_| start_worker(queue.clone())).collect();
        Self { tasks: Some(tasks), workers }
    }

    /// Hands out `job`.
    pub fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = channel();
        let task = Box::new(move || {
            // Nobody waits any more when the run ended early.
            let _ = answer.send(job());
        });
        if let Some(tasks) = &self.tasks {
            // Fails when every worker is gone; the join then says so.
            let _ = tasks.send(task);
        }
        Pending(pending)
    }
}

impl<T> Pending<T> {
    /// Waits for the answer.
    pub fn join(self) -> Result<T, WorkerLost> {
        self.0.recv().map_err(|_| WorkerLost)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks = None;
        for worker in self.workers.drain(..) {
            // A panic in a job was reported to whoever joined it.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.workers.len()).finish()
    }
}

fn start_worker(queue: Arc<Mutex<Receiver<Task>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while let Some(task) = next_task(&queue) {
            task();
        }
    })
}

fn next_task(queue: &Mutex<Receiver<Task>>) -> Option<Task> {
    queue.lock().ok()?.recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_belong_to_their_jobs() {
        for workers in [0, 1, 4] {
            let pool = Pool::new(workers);
            let jobs: Vec<_> = (0..100_u64).map(|n| pool.submit(move || n * n)).collect();
            for (job, n) in jobs.into_iter().zip(0_u64..).collect::<Vec<_>>().into_iter().rev() {
                assert_eq!(job.join(), Ok(n * n));
            }
        }
    }

    #[test]
    fn a_panicking_job_is_reported_and_the_pool_ends() {
        let pool = Pool::new(1);
        let job = pool.submit(|| -> u8 { panic!("a job that fails on purpose") });
        assert_eq!(job.join(), Err(WorkerLost));
        assert_eq!(pool.submit(|| 1).join(), Err(WorkerLost));
    }

    #[test]
    fn dropping_the_pool_finishes_what_was_handed_out() {
        let pool = Pool::new(2);
        let job = pool.submit(|| 5);
        drop(pool);
        assert_eq!(job.join(), Ok(5));
    }
}

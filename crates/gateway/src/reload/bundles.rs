//! Bundles on their way from the server that publishes them to the keeper.
//!
//! The first is fetched before anything serves; when that fails, the last one that served is on disk, and without one
//! there is no start. Later ones are fetched beside, verified, and left for the keeper, which treats them as it does
//! changed files.

use std::sync::{Arc, Mutex};

use bundle::{Bundle, Fetcher};
use domain::lock;

use crate::Error;

/// A bundle, or why it was refused.
pub(crate) type News = Result<Arc<Bundle>, String>;

/// What the keeper has not seen.
#[derive(Default)]
pub(crate) struct Delivery(Mutex<Option<News>>);

impl Delivery {
    /// Leaves news in the place of older ones.
    pub(crate) fn put(&self, news: News) {
        *lock(&self.0) = Some(news);
    }

    /// Gives back what was taken, for another time, unless there is something newer.
    pub(crate) fn put_back(&self, news: News) {
        lock(&self.0).get_or_insert(news);
    }

    /// Takes the news.
    pub(crate) fn take(&self) -> Option<News> {
        lock(&self.0).take()
    }
}

/// The server of bundles, and the first that it gave.
#[derive(Default)]
pub(crate) struct Supply {
    pub(crate) fetcher: Option<Fetcher>,
    pub(crate) first: Option<Bundle>,
}

impl Supply {
    /// Fetches the bundle, when the configuration names an address.
    ///
    /// # Errors
    ///
    /// When there is none to be had, neither there nor on disk.
    pub(crate) async fn begin(config: &policy::Config) -> Result<Self, Error> {
        if !config.enabled {
            return Ok(Self::default());
        }
        let Some(mut fetcher) = Fetcher::new(&config.bundle)? else { return Ok(Self::default()) };
        let first = match fetcher.poll().await {
            Ok(first) => first,
            Err(error) if config.bundle.persist_file.exists() => {
                let kept = config.bundle.persist_file.display();
                tracing::error!("{error}; the bundle that served last is taken: `{kept}`");
                None
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { fetcher: Some(fetcher), first })
    }
}

/// Asks for a new bundle for ever.
pub(crate) async fn follow(mut fetcher: Fetcher, delivery: Arc<Delivery>) {
    loop {
        tokio::time::sleep(fetcher.delay(fastrand::f64())).await;
        match fetcher.poll().await {
            Ok(None) => {}
            Ok(Some(bundle)) => delivery.put(Ok(Arc::new(bundle))),
            Err(error) if error.is_of_content() => delivery.put(Err(error.to_string())),
            Err(error) => tracing::warn!("{error}; the policy before decides"),
        }
    }
}

/// Keeps a bundle for the next start; when that fails, the one before is kept.
pub(crate) fn keep(config: &bundle::Config, bundle: &Bundle) {
    if let Err(error) = bundle::keep(&config.persist_file, bundle) {
        tracing::error!("the bundle is not kept for the next start: {error}");
    }
}

#[cfg(test)]
mod tests;

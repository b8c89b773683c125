//! From a URL and options to an object store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::StorageOptions;
use crate::LakeError;

/// A server that is there answers a connection sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the store of a bucket or container: what the environment says (the names of the providers' own tools:
/// `AWS_ACCESS_KEY_ID`, `AZURE_STORAGE_ACCOUNT_KEY`, `GOOGLE_APPLICATION_CREDENTIALS` ...), then the options on top.
macro_rules! build {
    ($builder:ty, $key:ty, $endpoint:expr, $url:expr, $options:expr) => {{
        let mut builder = <$builder>::from_env().with_url($url.as_str()).with_retry(retry($options.retry));
        for (name, value) in $options.pairs($endpoint) {
            let key = <$key>::from_str(&name).map_err(|_| unusable($url, &unknown_option(&name)))?;
            builder = builder.with_config(key, value);
        }
        let store = builder.build().map_err(|error| unusable($url, &error.to_string()))?;
        Arc::new(store) as Arc<dyn ObjectStore>
    }};
}

pub(super) fn connect(url: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, LakeError> {
    if !url.username().is_empty() && !url.scheme().starts_with("abfs") || url.password().is_some() {
        return Err(LakeError::StorageUrl {
            url: format!("{}://...", url.scheme()),
            problem: "credentials do not belong in a URL; put them into the environment".to_owned(),
        });
    }
    match ObjectStoreScheme::parse(url) {
        Ok((ObjectStoreScheme::AmazonS3, _)) => {
            Ok(build!(AmazonS3Builder, AmazonS3ConfigKey, "endpoint", url, options))
        }
        Ok((ObjectStoreScheme::MicrosoftAzure, _)) => {
            Ok(build!(MicrosoftAzureBuilder, AzureConfigKey, "endpoint", url, options))
        }
        Ok((ObjectStoreScheme::GoogleCloudStorage, _)) => {
            Ok(build!(GoogleCloudStorageBuilder, GoogleConfigKey, "base_url", url, options))
        }
        _ => Err(unusable(url, "it must be a path, or begin with s3://, az://, abfss:// or gs://")),
    }
}

fn unusable(url: &Url, problem: &str) -> LakeError {
    LakeError::StorageUrl { url: url.to_string(), problem: problem.to_owned() }
}

fn unknown_option(name: &str) -> String {
    format!("this storage has no option `{name}`")
}

fn retry(total: Duration) -> RetryConfig {
    RetryConfig { retry_timeout: total, ..RetryConfig::default() }
}

impl StorageOptions {
    /// All options as the provider names them; of two that name the same, the specific one wins.
    fn pairs(&self, endpoint: &str) -> BTreeMap<String, String> {
        let millis = |duration: Duration| format!("{} ms", duration.as_millis());
        let mut pairs = BTreeMap::from([
            ("timeout".to_owned(), millis(self.timeout)),
            ("connect_timeout".to_owned(), millis(self.timeout.min(CONNECT_TIMEOUT))),
        ]);
        for (name, value) in [(endpoint, &self.endpoint), ("region", &self.region)] {
            pairs.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        if self.allow_http {
            pairs.insert("allow_http".to_owned(), "true".to_owned());
        }
        pairs.extend(self.more.clone());
        pairs
    }
}

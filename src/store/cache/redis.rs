//! Answers kept on a Redis server.

use super::{LIFE, PATIENCE, Shelf};
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, Client, ErrorKind, RedisError};
use std::fmt;
use tokio::sync::Mutex;

/// A server, and the connection to it once there is one.
pub(super) struct Redis {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for Redis {
    /// Without the client: it holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").finish_non_exhaustive()
    }
}

impl Redis {
    /// # Errors
    /// In words, without the URL, when it is none.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let client = Client::open(url).map_err(|e| in_words(&e))?;
        Ok(Self { client, connection: Mutex::default() })
    }

    /// A connection that worked when it was last used, or a new one.
    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.connection.lock().await;
        if let Some(there) = &*connection {
            return Ok(there.clone());
        }
        // Sooner than our caller gives up: then it is known that the connection is of no use.
        let limit = Some(PATIENCE * 4 / 5);
        let config = AsyncConnectionConfig::new().set_connection_timeout(limit).set_response_timeout(limit);
        let made = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(connection.insert(made).clone())
    }

    /// The result of a command; after a failure the next one has a connection of its own.
    async fn done<T>(&self, result: Result<T, RedisError>) -> Result<T, String> {
        if result.is_err() {
            *self.connection.lock().await = None;
        }
        result.map_err(|e| in_words(&e))
    }
}

impl Shelf for Redis {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            let found = async { self.connection().await?.get::<_, Option<Vec<u8>>>(name).await };
            let bytes = self.done(found.await).await?;
            // What is no text is not one of ours.
            Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
        })
    }

    fn put<'a>(&'a self, name: &'a str, text: String) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let put = async { self.connection().await?.set_ex(name, text, LIFE.as_secs()).await };
            self.done(put.await).await
        })
    }
}

/// What went wrong, without anything that stood in the URL.
fn in_words(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::InvalidClientConfig => {
            "not a valid Redis URL, such as redis://127.0.0.1:6379/0".to_owned()
        }
        ErrorKind::AuthenticationFailed => "the Redis server refuses the password".to_owned(),
        ErrorKind::Io => format!("the Redis server cannot be reached: {error}"),
        kind => format!("the Redis server: {kind:?}"),
    }
}

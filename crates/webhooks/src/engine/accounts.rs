//! Accounts: which customer an id of a vendor's is.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use protocol::id::CustomerId;
use store::documents::{Kind, readable};
use store::error::StoreError;

use crate::engine::Engine;

/// Accounts at most: one for each of thousands of offices.
pub(super) const ACCOUNTS_MAX: usize = 10_000;

impl Engine {
    /// All accounts with their customers.
    #[must_use]
    pub fn accounts(&self) -> BTreeMap<String, CustomerId> {
        self.shared.accounts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The customer of an account.
    #[must_use]
    pub fn account(&self, id: &str) -> Option<CustomerId> {
        self.shared.accounts.read().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Says whose an account is. Returns why not, where there is no room or it is another's.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put_account(&self, id: &str, customer: CustomerId) -> Result<Option<String>, StoreError> {
        let _changing = self.shared.changes.lock().await;
        let accounts = self.accounts();
        match accounts.get(id) {
            Some(other) if *other != customer => {
                return Ok(Some(format!("The account {id} is that of {other}; remove it first")));
            }
            None if accounts.len() >= ACCOUNTS_MAX => {
                return Ok(Some(format!("There are {ACCOUNTS_MAX} accounts already, which is as many as can be")));
            }
            Some(_) | None => {}
        }
        self.shared.store.put_document(Kind::Account, id.to_owned(), customer.to_string()).await?;
        self.shared.accounts.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), customer);
        Ok(None)
    }

    /// Takes an account away; its subscriptions stay until they are deleted. Returns whether there was one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove_account(&self, id: &str) -> Result<bool, StoreError> {
        let _changing = self.shared.changes.lock().await;
        let removed = self.shared.store.remove_document(Kind::Account, id.to_owned()).await?;
        self.shared.accounts.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(removed)
    }

    pub(super) async fn load_accounts(&self) -> Result<(), StoreError> {
        let documents = self.shared.store.documents(Kind::Account).await?;
        let read = |(id, customer): (String, String)| {
            let customer = readable(Kind::Account, &id, CustomerId::parse(&customer))?;
            Some((id, customer))
        };
        let accounts = documents.into_iter().filter_map(read);
        *self.shared.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts.collect();
        Ok(())
    }
}

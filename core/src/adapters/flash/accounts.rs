//! Accounts.

use embedded_storage_async::nor_flash::NorFlash;

use super::keys::{Key, Table};
use super::record::Item;
use super::tree::Write;
use super::{Error, FlashStore, Result, Rows, encode};
use crate::id::{AccountId, ChannelId};
use crate::store::{
    AccountChange, AccountFlags, AccountRecord, AccountRow, Operation, Outcome, Reason,
};

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    pub(super) async fn on_accounts<'b>(
        &mut self,
        operation: &Operation<'_>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        match *operation {
            Operation::FindAccount { name } => {
                let id = self.account_of(name).await?;
                self.load_account(id, answer).await
            }
            Operation::LoadAccount { account } => self.load_account(Some(account), answer).await,
            Operation::CreateAccount(ref record) => self.create_account(record, answer).await,
            Operation::ChangeAccount { account, change } => {
                self.change_account(account, change, answer).await?;
                Ok(Outcome::Done)
            }
            Operation::RemoveAccount { account } => {
                self.remove_account(account).await?;
                Ok(Outcome::Done)
            }
            Operation::ReadAccounts {
                prefix,
                after,
                bytes,
            } => {
                let page = Rows::new(answer, bytes);
                self.read_accounts(prefix, after, page).await
            }
            Operation::FindGuest => {
                let guest = self.find_guest().await?;
                self.load_account(guest, answer).await
            }
            _ => Ok(Outcome::Refused(Reason::Failed)),
        }
    }

    async fn account_of(&mut self, name: &str) -> Result<Option<AccountId>, F> {
        match Key::name(Table::Name, name) {
            Some(key) => self.get(&key).await,
            None => Ok(None),
        }
    }

    async fn account_item(&mut self, account: AccountId) -> Result<Option<(Key, Item)>, F> {
        let key = Key::id(Table::Account, account.0);
        let item = self.tree.get(&mut self.medium, &key).await?;
        Ok(item.map(|item| (key, item)))
    }

    async fn load_account<'b>(
        &mut self,
        account: Option<AccountId>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        let Some(account) = account else {
            return Ok(Outcome::Account(None));
        };
        let Some((key, item)) = self.account_item(account).await? else {
            return Ok(Outcome::Account(None));
        };
        let value = self.medium.value(&item, key.as_bytes(), answer).await?;
        let record = postcard::from_bytes(value).map_err(|_| Error::Damaged)?;
        Ok(Outcome::Account(Some(record)))
    }

    /// An account's record, in the medium's buffer from `from` on, and where it ends there.
    pub(super) async fn account(
        &mut self,
        account: AccountId,
        from: usize,
    ) -> Result<Option<(AccountRecord<'_>, usize)>, F> {
        let Some((key, item)) = self.account_item(account).await? else {
            return Ok(None);
        };
        let end = self.medium.load(&item, key.as_bytes(), from).await?;
        let record = postcard::from_bytes(&self.medium.buffer[from..end]);
        record
            .map(|record| Some((record, end)))
            .map_err(|_| Error::Damaged)
    }

    async fn create_account<'b>(
        &mut self,
        record: &AccountRecord<'_>,
        scratch: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        let Some(name) = Key::name(Table::Name, record.name) else {
            return Ok(Outcome::Refused(Reason::Failed));
        };
        if let Some(id) = self.account_of(record.name).await? {
            // An attempt whose answer was `Unknown` is asked for again: the account it made is no other's.
            let taken = self.account(id, 0).await?;
            let expected = AccountRecord { id, ..*record };
            let same = taken.is_some_and(|(taken, _)| taken == expected);
            return Ok(if same && record.verifier.iterations > 0 {
                Outcome::Created(id)
            } else {
                Outcome::Refused(Reason::Exists)
            });
        }
        self.must_grow(0)?;
        let id = self.next_id(Table::LastAccount).await?;
        let record = AccountRecord {
            id: AccountId(id),
            ..*record
        };
        let value = encode(&record, scratch)?;
        let mut number = [0; 5];
        let number = encode(&id, &mut number)?;
        self.commit(&[
            Write::Put(Key::id(Table::Account, id), &[value]),
            Write::Put(name, &[number]),
            Write::Put(Key::of(Table::LastAccount), &[number]),
        ])
        .await?;
        Ok(Outcome::Created(AccountId(id)))
    }

    async fn change_account(
        &mut self,
        account: AccountId,
        change: AccountChange<'_>,
        scratch: &mut [u8],
    ) -> Result<(), F> {
        let Some((record, _)) = self.account(account, 0).await? else {
            return Ok(());
        };
        let record = match change {
            AccountChange::Verifier(verifier) => AccountRecord { verifier, ..record },
            AccountChange::Display(display) => AccountRecord { display, ..record },
            AccountChange::Titles(titles) => AccountRecord { titles, ..record },
            AccountChange::Flags(flags) => AccountRecord { flags, ..record },
        };
        let value = encode(&record, scratch)?;
        let key = Key::id(Table::Account, account.0);
        self.commit(&[Write::Put(key, &[value])]).await
    }

    async fn remove_account(&mut self, account: AccountId) -> Result<(), F> {
        let Some((record, _)) = self.account(account, 0).await? else {
            return Ok(());
        };
        let name = Key::name(Table::Name, record.name).ok_or(Error::Damaged)?;
        self.commit(&[
            Write::Delete(Key::id(Table::Account, account.0)),
            Write::Delete(name),
            Write::Put(Key::id(Table::DoomedAccount, account.0), &[]),
        ])
        .await?;
        self.purge_account(account).await
    }

    /// Removes what is left of an account that was removed.
    pub(super) async fn purge_account(&mut self, account: AccountId) -> Result<(), F> {
        while let Some((key, _)) = self.first_of(Table::Member, Some(account.0)).await? {
            let channel = ChannelId(key.second());
            self.commit(&[
                Write::Delete(key),
                Write::Delete(Key::roster(channel, account)),
            ])
            .await?;
        }
        let doomed = Key::id(Table::DoomedAccount, account.0);
        self.commit(&[Write::Delete(doomed)]).await
    }

    async fn find_guest(&mut self) -> Result<Option<AccountId>, F> {
        let mut key = Key::of(Table::Account);
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_in(Table::Account) {
                break;
            }
            let end = self.medium.load(&item, key.as_bytes(), 0).await?;
            let record: AccountRecord<'_> =
                postcard::from_bytes(&self.medium.buffer[..end]).map_err(|_| Error::Damaged)?;
            if AccountFlags::from_bits_retain(record.flags).contains(AccountFlags::GUEST) {
                return Ok(Some(record.id));
            }
        }
        Ok(None)
    }

    async fn read_accounts<'b>(
        &mut self,
        prefix: &str,
        after: &str,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        // No name is longer than a key; a longer text to go on after is still in the right order when cut.
        let start = prefix.max(after);
        let start = &start[..start.floor_char_boundary(crate::name::NICK_MAX)];
        let mut key = Key::name(Table::Name, start).unwrap_or(Key::of(Table::Name));
        let mut cursor = self.tree.seek(&mut self.medium, &key).await?;
        while let Some(item) = self.next(&mut cursor, &mut key).await? {
            if !key.is_in(Table::Name) {
                break;
            }
            if key.tail() <= after.as_bytes() {
                continue;
            }
            if !key.tail().starts_with(prefix.as_bytes()) {
                break;
            }
            let id: AccountId = self.small(&item, &key).await?;
            let Some((record, _)) = self.account(id, 0).await? else {
                return Err(Error::Damaged);
            };
            let row = AccountRow {
                id,
                name: record.name,
                display: record.display,
                titles: record.titles,
                flags: record.flags,
                created: record.created,
            };
            if !page.push(&row) {
                break;
            }
        }
        Ok(page.outcome())
    }
}

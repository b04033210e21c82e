//! Accounts.

use embedded_storage_async::nor_flash::NorFlash;

use super::keys::{Key, Table};
use super::record::Item;
use super::tree::Write;
use super::{FlashStore, Result, Rows, STEP, Stop, encode};
use crate::id::{AccountId, ChannelId};
use crate::store::{AccountChange, AccountFlags, AccountRecord, AccountRow, Outcome, Reason};

impl<F: NorFlash, const KEYS: usize, const HEADS: usize> FlashStore<F, KEYS, HEADS> {
    pub(super) fn account_of(&mut self, name: &str) -> Result<Option<AccountId>, F> {
        match Key::name(Table::Name, name) {
            Some(key) => self.get(&key),
            None => Ok(None),
        }
    }

    fn account_item(&mut self, account: AccountId) -> Result<Option<(Key, Item)>, F> {
        let key = Key::id(Table::Account, account.0);
        let item = self.tree.get(&mut self.medium, &key)?;
        Ok(item.map(|item| (key, item)))
    }

    pub(super) fn load_account<'b>(
        &mut self,
        account: Option<AccountId>,
        answer: &'b mut [u8],
    ) -> Result<Outcome<'b>, F> {
        let Some(account) = account else {
            return Ok(Outcome::Account(None));
        };
        let Some((key, item)) = self.account_item(account)? else {
            return Ok(Outcome::Account(None));
        };
        let value = self.medium.value(&item, key.as_bytes(), answer)?;
        let record = postcard::from_bytes(value).map_err(|_| Stop::Damaged)?;
        Ok(Outcome::Account(Some(record)))
    }

    /// An account's record, in the medium's buffer from `from` on, and where it ends there.
    pub(super) fn account(
        &mut self,
        account: AccountId,
        from: usize,
    ) -> Result<Option<(AccountRecord<'_>, usize)>, F> {
        let Some((key, item)) = self.account_item(account)? else {
            return Ok(None);
        };
        let end = self.medium.load(&item, key.as_bytes(), from)?;
        let record = postcard::from_bytes(&self.medium.buffer[from..end]);
        record
            .map(|record| Some((record, end)))
            .map_err(|_| Stop::Damaged)
    }

    pub(super) fn create_account(
        &mut self,
        record: &AccountRecord<'_>,
        scratch: &mut [u8],
    ) -> Result<Outcome<'static>, F> {
        let Some(name) = Key::name(Table::Name, record.name) else {
            return Ok(Outcome::Refused(Reason::Failed));
        };
        if let Some(id) = self.account_of(record.name)? {
            // An attempt whose answer was `Unknown` is asked for again: the account it made is no other's.
            let taken = self.account(id, 0)?;
            let expected = AccountRecord { id, ..*record };
            let same = taken.is_some_and(|(taken, _)| taken == expected);
            return Ok(if same && record.verifier.iterations > 0 {
                Outcome::Created(id)
            } else {
                Outcome::Refused(Reason::Exists)
            });
        }
        self.must_grow(0)?;
        let id = self.next_id(Table::LastAccount)?;
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
        ])?;
        Ok(Outcome::Created(AccountId(id)))
    }

    pub(super) fn change_account(
        &mut self,
        account: AccountId,
        change: AccountChange<'_>,
        scratch: &mut [u8],
    ) -> Result<(), F> {
        let Some((record, _)) = self.account(account, 0)? else {
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
        self.commit(&[Write::Put(key, &[value])])
    }

    pub(super) fn remove_account(&mut self, account: AccountId) -> Result<(), F> {
        let doomed = Key::id(Table::DoomedAccount, account.0);
        if let Some((record, _)) = self.account(account, 0)? {
            let name = Key::name(Table::Name, record.name).ok_or(Stop::Damaged)?;
            self.commit(&[
                Write::Delete(Key::id(Table::Account, account.0)),
                Write::Delete(name),
                Write::Put(doomed, &[]),
            ])?;
        } else if self.tree.get(&mut self.medium, &doomed)?.is_none() {
            return Ok(());
        }
        self.purge_account(account)
    }

    /// Removes what is left of an account that was removed. Stops now and then, to be begun again.
    pub(super) fn purge_account(&mut self, account: AccountId) -> Result<(), F> {
        for _ in 0..STEP {
            self.must_have_room()?;
            let Some((key, _)) = self.first_of(Table::Member, Some(account.0))? else {
                let doomed = Key::id(Table::DoomedAccount, account.0);
                return self.commit(&[Write::Delete(doomed)]);
            };
            let roster = Key::roster(ChannelId(key.second()), account);
            self.commit(&[Write::Delete(key), Write::Delete(roster)])?;
        }
        Err(Stop::Again)
    }

    pub(super) fn find_guest(&mut self) -> Result<Option<AccountId>, F> {
        let mut key = Key::of(Table::Account);
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_in(Table::Account) {
                break;
            }
            let end = self.medium.load(&item, key.as_bytes(), 0)?;
            let record: AccountRecord<'_> =
                postcard::from_bytes(&self.medium.buffer[..end]).map_err(|_| Stop::Damaged)?;
            if AccountFlags::from_bits_retain(record.flags).contains(AccountFlags::GUEST) {
                return Ok(Some(record.id));
            }
        }
        Ok(None)
    }

    pub(super) fn read_accounts<'b>(
        &mut self,
        prefix: &str,
        after: &str,
        mut page: Rows<'b>,
    ) -> Result<Outcome<'b>, F> {
        // No name is longer than a key; a longer text to go on after is still in the right order when cut.
        let start = prefix.max(after);
        let start = &start[..start.floor_char_boundary(crate::name::NICK_MAX)];
        let mut key = Key::name(Table::Name, start).unwrap_or(Key::of(Table::Name));
        let mut cursor = self.tree.seek(&mut self.medium, &key)?;
        while let Some(item) = self.next(&mut cursor, &mut key)? {
            if !key.is_in(Table::Name) {
                break;
            }
            if key.tail() <= after.as_bytes() {
                continue;
            }
            if !key.tail().starts_with(prefix.as_bytes()) {
                break;
            }
            let id: AccountId = self.small(&item, &key)?;
            let Some((record, _)) = self.account(id, 0)? else {
                return Err(Stop::Damaged);
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

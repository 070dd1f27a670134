//! The [`Store`](crate::Store) of a database that speaks SQL, on the shared queries.

/// Implements [`crate::Store`] for a store that has
///
/// * `KIND`, `EXCLUSIVE`, `CLOCK`, the statement that reads the database's clock, and
///   `NAMES_INDEX`, whether a query says which index is meant,
/// * `write_batch(&self, &[Append])`,
/// * `read(&self, operation, work)` and `edit(&self, operation, work)`, which run `work` on
///   a connection to the end, even where their own future is dropped,
/// * and beside it a function `classify(operation, sqlx::Error) -> StoreError`.
macro_rules! sql_store {
    ($Store:ty) => {
        #[async_trait::async_trait]
        impl $crate::Store for $Store {
            fn kind(&self) -> &'static str {
                Self::KIND
            }

            fn exclusive(&self) -> bool {
                Self::EXCLUSIVE
            }

            fn connections(&self) -> Option<$crate::Connections> {
                Some($crate::Connections {
                    open: self.readers.size(),
                    idle: u32::try_from(self.readers.num_idle()).unwrap_or(u32::MAX),
                    most: self.readers.options().get_max_connections(),
                })
            }

            async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
                self.write_batch(batch).await
            }

            async fn load(
                &self,
                saga: SagaId,
                after_version: u64,
                rows_max: u32,
            ) -> Result<Vec<LogRow>, StoreError> {
                let records: Vec<LogRecord> = self
                    .read("load", move |connection| {
                        sqlx::query_as(sql::LOAD)
                            .bind(saga.0)
                            .bind(to_i64(after_version))
                            .bind(i64::from(rows_max))
                            .fetch_all(connection)
                            .boxed()
                    })
                    .await?;
                records.into_iter().map(|record| record.row("load")).collect()
            }

            async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
                let record: Option<SagaRecord> = self
                    .read("saga", move |connection| {
                        sqlx::query_as(sql::SAGA).bind(saga.0).fetch_optional(connection).boxed()
                    })
                    .await?;
                record.map(|record| record.row("saga")).transpose()
            }

            async fn saga_by_key(
                &self,
                namespace: &str,
                business_key: &str,
            ) -> Result<Option<SagaRow>, StoreError> {
                if [namespace, business_key].iter().any(|text| text.contains('\0')) {
                    return Ok(None); // No such text is stored, and PostgreSQL refuses to look.
                }
                let (namespace, business_key) = (namespace.to_owned(), business_key.to_owned());
                let record: Option<SagaRecord> = self
                    .read("saga_by_key", move |connection| {
                        sqlx::query_as(sql::SAGA_BY_KEY)
                            .bind(namespace)
                            .bind(business_key)
                            .fetch_optional(connection)
                            .boxed()
                    })
                    .await?;
                record.map(|record| record.row("saga_by_key")).transpose()
            }

            async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
                self.found(query).await
            }

            async fn count(&self, query: &ListQuery) -> Result<Count, StoreError> {
                self.counted(query).await
            }

            async fn cause_groups(&self, query: &HeldQuery) -> Result<Vec<CauseGroup>, StoreError> {
                let groups = sql::groups::groups(query);
                let records = self
                    .read("cause_groups", move |connection| {
                        let text = sqlx::AssertSqlSafe(groups.text);
                        sql::bound!(sqlx::query_as(text).persistent(false), groups.binds)
                            .fetch_all(connection)
                            .boxed()
                    })
                    .await?;
                rows::cause_groups(records, query.examples_max, "cause_groups")
            }

            async fn clock_ms(&self) -> Result<Option<u64>, StoreError> {
                self.read_clock().await
            }

            async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError> {
                let limit = i64::from(query.sagas_max);
                let looks = query.due_ms.into_iter().flat_map(|due_ms| {
                    let due_ms = to_i64(due_ms);
                    let ahead_ms = due_ms.saturating_add(to_i64($crate::store::CLOCKS_APART_MS));
                    [(sql::CLAIMABLE_DUE, due_ms), (sql::CLAIMABLE_SET_AHEAD, ahead_ms)]
                });
                let mut due: Vec<(Option<i64>, Uuid)> = Vec::new();
                for (statement, at_ms) in looks {
                    let found: Vec<(Option<i64>, Uuid)> = self
                        .read("claimable", move |connection| {
                            sqlx::query_as(statement)
                                .bind(at_ms)
                                .bind(limit)
                                .fetch_all(connection)
                                .boxed()
                        })
                        .await?;
                    due.extend(found);
                }
                for node in query.dead.iter().copied() {
                    let left_behind: Vec<(Option<i64>, Uuid)> = self
                        .read("claimable", move |connection| {
                            sqlx::query_as(sql::CLAIMABLE_DEAD)
                                .bind(node.0)
                                .bind(limit)
                                .fetch_all(connection)
                                .boxed()
                        })
                        .await?;
                    due.extend(left_behind);
                }
                due.sort_unstable();
                due.dedup();
                due.truncate(query.sagas_max as usize);
                Ok(due.into_iter().map(|(_, saga)| SagaId(saga)).collect())
            }

            async fn held(
                &self,
                waiting_on: &str,
                sagas_max: u32,
            ) -> Result<Vec<SagaId>, StoreError> {
                let waiting_on = waiting_on.to_owned();
                let held: Vec<Uuid> = self
                    .read("held", move |connection| {
                        sqlx::query_scalar(sql::HELD)
                            .bind(waiting_on)
                            .bind(i64::from(sagas_max))
                            .fetch_all(connection)
                            .boxed()
                    })
                    .await?;
                Ok(held.into_iter().map(SagaId).collect())
            }

            async fn oldest_open_ms(&self) -> Result<Option<u64>, StoreError> {
                self.oldest_open().await
            }

            async fn ages(
                &self,
                after: Option<SagaId>,
                rows_max: u32,
            ) -> Result<Vec<AgeRow>, StoreError> {
                self.ages_behind(after, rows_max).await
            }

            async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError> {
                self.next_wake().await
            }

            async fn register_node(&self, node: NodeId, now_ms: u64) -> Result<(), StoreError> {
                self.edit("register_node", move |connection| {
                    async move {
                        let new = sqlx::query(sql::REGISTER_NODE).bind(node.0).bind(to_i64(now_ms));
                        new.execute(connection).await.map(drop)
                    }
                    .boxed()
                })
                .await
            }

            async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError> {
                self.edit("beat", move |connection| {
                    async move {
                        let beat = sqlx::query(sql::BEAT).bind(node.0).bind(to_i64(now_ms));
                        Ok(beat.execute(connection).await?.rows_affected() == 1)
                    }
                    .boxed()
                })
                .await
            }

            async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
                let records: Vec<NodeRecord> = self
                    .read("nodes", |connection| {
                        sqlx::query_as(sql::NODES).fetch_all(connection).boxed()
                    })
                    .await?;
                let rows = records.into_iter().map(|record| record.row("nodes"));
                let mut rows: Vec<NodeRow> = rows.collect::<Result<_, _>>()?;
                rows.sort_by_key(|row| row.node);
                Ok(rows)
            }

            async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
                self.edit("forget_node", move |connection| {
                    async move {
                        let gone = sqlx::query(sql::FORGET_NODE).bind(node.0);
                        gone.execute(connection).await.map(drop)
                    }
                    .boxed()
                })
                .await
            }

            async fn identity(&self) -> Result<LogIdentity, StoreError> {
                let record: IdentityRecord = self
                    .read("identity", |connection| {
                        sqlx::query_as(sql::IDENTITY).fetch_one(connection).boxed()
                    })
                    .await?;
                record.row("identity")
            }

            async fn mark(&self, now_ms: u64) -> Result<(), StoreError> {
                self.edit("mark", move |connection| {
                    async move {
                        let marked = sqlx::query(sql::MARK).bind(to_i64(now_ms));
                        marked.execute(connection).await.map(drop)
                    }
                    .boxed()
                })
                .await
            }

            async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError> {
                let operation = "begin_epoch";
                plan::check_epoch(epoch).map_err(|fault| fault.rejected(operation))?;
                let row = epoch.clone();
                self.edit(operation, move |connection| {
                    async move {
                        let begun = sqlx::query(sql::BEGIN_EPOCH)
                            .bind(to_i64(row.epoch))
                            .bind(to_i64(row.began_at_ms))
                            .bind(row.actor)
                            .bind(row.reason)
                            .bind(to_i64(row.mark_at_ms))
                            .bind(to_i64(row.behind_ms))
                            .bind(row.request_id)
                            .bind(to_i64(after))
                            .execute(connection)
                            .await?;
                        Ok(begun.rows_affected() == 1)
                    }
                    .boxed()
                })
                .await
            }

            async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError> {
                let records: Vec<EpochRecord> = self
                    .read("epochs", |connection| {
                        sqlx::query_as(sql::EPOCHS).fetch_all(connection).boxed()
                    })
                    .await?;
                records.into_iter().map(|record| record.row("epochs")).collect()
            }

            async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError> {
                self.record_act(act.clone()).await
            }

            async fn participant_acts(
                &self,
                participant: &str,
                rows_max: u32,
            ) -> Result<Vec<ParticipantAct>, StoreError> {
                self.acts_on(participant, rows_max).await
            }

            async fn newest_participant_acts(&self) -> Result<Vec<ParticipantAct>, StoreError> {
                self.newest_acts().await
            }

            async fn put_definition(
                &self,
                row: &DefinitionRow,
            ) -> Result<DefinitionRow, StoreError> {
                let operation = "put_definition";
                plan::check_definition(row).map_err(|fault| fault.rejected(operation))?;
                let row = row.clone();
                let stored: DefinitionRecord = self
                    .edit(operation, move |connection| {
                        async move {
                            sqlx::query(sql::PUT_DEFINITION)
                                .bind(row.name.clone())
                                .bind(i64::from(row.version))
                                .bind(row.hash.to_vec())
                                .bind(row.yaml)
                                .bind(row.descriptors.to_vec())
                                .bind(to_i64(row.registered_at_ms))
                                .bind(i64::from(row.language_level))
                                .bind(i64::from(row.retires))
                                .bind(row.asked.request_id.clone())
                                .bind(row.asked.actor)
                                .bind(row.asked.reason)
                                .execute(&mut *connection)
                                .await?;
                            sqlx::query_as(sql::STORED_DEFINITION)
                                .bind(row.name)
                                .bind(i64::from(row.version))
                                .bind(row.asked.request_id)
                                .fetch_one(connection)
                                .await
                        }
                        .boxed()
                    })
                    .await?;
                stored.row(operation)
            }

            async fn definition_of_request(
                &self,
                request_id: &str,
            ) -> Result<Option<DefinitionRow>, StoreError> {
                let operation = "definition_of_request";
                if request_id.contains('\0') {
                    return Ok(None); // No such text is stored, and PostgreSQL refuses to look.
                }
                let request_id = request_id.to_owned();
                let record: Option<DefinitionRecord> = self
                    .read(operation, move |connection| {
                        sqlx::query_as(sql::DEFINITION_OF_REQUEST)
                            .bind(request_id)
                            .fetch_optional(connection)
                            .boxed()
                    })
                    .await?;
                record.map(|record| record.row(operation)).transpose()
            }

            async fn definition(
                &self,
                name: &str,
                version: u32,
            ) -> Result<Option<DefinitionRow>, StoreError> {
                if name.contains('\0') {
                    return Ok(None);
                }
                let name = name.to_owned();
                let last = if version == 0 { u32::MAX } else { version };
                let record: Option<DefinitionRecord> = self
                    .read("definition", move |connection| {
                        sqlx::query_as(sql::DEFINITION)
                            .bind(name)
                            .bind(i64::from(version))
                            .bind(i64::from(last))
                            .fetch_optional(connection)
                            .boxed()
                    })
                    .await?;
                record.map(|record| record.row("definition")).transpose()
            }

            async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
                let records: Vec<DefinitionRecord> = self
                    .read("definitions", |connection| {
                        sqlx::query_as(sql::DEFINITIONS).fetch_all(connection).boxed()
                    })
                    .await?;
                let rows = records.into_iter().map(|record| record.row("definitions"));
                let mut rows: Vec<DefinitionRow> = rows.collect::<Result<_, _>>()?;
                rows.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(rows)
            }

            async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError> {
                let read = self.read("retired", |connection| {
                    sqlx::query_as(sql::RETIRED).fetch_all(connection).boxed()
                });
                read.await?.into_iter().map(|it| rows::retired(it, "retired")).collect()
            }
        }
    };
}
pub(crate) use sql_store;

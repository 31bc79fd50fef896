-- Waits until every transaction that has read horizons is over, and makes those that want to read them wait.
-- Index: none.
lock table usage.horizon in access exclusive mode

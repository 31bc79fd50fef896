-- Waits until every transaction that has read usage.horizon has ended, and makes later readers
-- wait.
-- No parameters. Index: none; reads no row.
lock table usage.horizon in access exclusive mode

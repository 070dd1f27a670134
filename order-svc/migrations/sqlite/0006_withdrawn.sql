-- As in PostgreSQL, where everything is explained.
insert into transitions (from_status, to_status, scope) values
    ('PAYMENT_PENDING', 'PAYMENT_WITHDRAWN', 'ORDER'),
    ('PAYMENT_NO_PAYMENT_INFO', 'PAYMENT_WITHDRAWN', 'ORDER');

create table shipment (
    shipment_id text primary key,
    order_no text not null unique,
    address text not null
);

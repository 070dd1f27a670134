-- What orders were cheaper by before there were coupons: their customers, or whoever inserted
-- them, said so. Later ones are cheaper by their coupons alone.
alter table orders
    add column uncouponed_minor bigint not null default 0 check (0 <= uncouponed_minor);

update orders set uncouponed_minor = of_lines.discount_minor
from (
    select order_no, sum(discount_minor) as discount_minor from order_lines
    where 0 < discount_minor group by order_no
) as of_lines
where of_lines.order_no = orders.order_no
    and not exists (select 1 from coupon_uses where coupon_uses.order_no = orders.order_no);

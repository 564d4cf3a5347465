# What a composite is made of it may also hide: the street is one alarm and stays
# one. A member under a plan or out of service does not count, from that moment.
device a noise
device b noise
device c noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: street
    inhibits: {rules: [loud], layer: wards}
    when: {composite: {at_least: 3, of: [loud], layer: wards}}
end
00:00 a noise=90 in wards/w-1
> loud a unacknowledged
00:01 b noise=90 in wards/w-1
> loud b unacknowledged
00:02 c noise=90 in wards/w-1
> loud c unacknowledged
> street zone:wards/w-1 unacknowledged
00:03 tick
> loud a suppressed
> loud b suppressed
> loud c suppressed
00:30 tick
01:00 tick
01:10 remove-service loud b by Hoa
> loud b out_of_service
> street zone:wards/w-1 returned
01:11 tick
> loud a unacknowledged
> loud c unacknowledged
01:20 restore loud b by Hoa
> loud b unacknowledged
> street zone:wards/w-1 unacknowledged

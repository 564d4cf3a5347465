# The mean of a window, and how much changed in it.
device a air-quality
rules
  - id: rising
    when: {expr: {if: 'count("pm25", "10m") >= 4 && mean("pm25", "10m") > 60 && change("pm25", "10m") > 30'}}
end
00:00 a pm25=40
03:00 a pm25=60
06:00 a pm25=80
09:00 a pm25=90
> rising a unacknowledged 90
12:00 a pm25=90                   # 30 up since 03:00, and not more
> rising a returned
